// Two tabs of a real browser talk on the page that `wirefan broadcast` serves: `chat.cjs URL CHROMIUM`.
'use strict';
const assert = require('node:assert/strict');
const { chromium } = require('playwright-core');

const [url, executablePath] = process.argv.slice(2);
const args = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

(async () => {
  const browser = await chromium.launch({ executablePath, args });
  // The server's own certificate is nobody's whom a browser trusts.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  // The page's own security policy may not get in its way, nor anything else.
  const problems = [];
  const tab = async path => {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', error => problems.push(String(error)));
    page.on('console', message => {
      if (['error', 'warning'].includes(message.type())) problems.push(message.text());
    });
    await page.goto(url + path);
    await page.waitForSelector('[data-state=open]');
    return page;
  };
  const heard = (page, text) => page.waitForFunction(
    wanted => [...document.querySelectorAll('#log .theirs p')].some(said => said.textContent === wanted),
    text, { polling: 100 });
  const said = async page => (await page.locator('#log li p').allTextContents());

  const ann = await tab('/tea');
  const bob = await tab('/tea');
  const elsewhere = await tab('/coffee');
  await ann.fill('#name', 'Ann');
  await ann.fill('#text', 'Is there any tea? 🍵');
  await ann.press('#text', 'Enter');
  await heard(bob, 'Is there any tea? 🍵');
  assert.equal(await bob.locator('#log .theirs b').textContent(), 'Ann');
  assert.equal(await ann.locator('#log .mine').count(), 1);

  // What others say is text and never markup.
  const markup = '<img src=x onerror="document.title = 1"> & <b>grün</b>';
  await bob.fill('#name', 'Bob');
  await bob.fill('#text', markup);
  await bob.click('#send');
  await heard(ann, markup);
  assert.equal(await ann.locator('#log img').count(), 0);

  await ann.fill('#text', 'two\nlines');
  await ann.click('#send');
  await heard(bob, 'two\nlines');
  assert.deepEqual(await said(bob), ['Is there any tea? 🍵', markup, 'two\nlines']);
  assert.deepEqual(await said(ann), await said(bob));
  assert.deepEqual(await said(elsewhere), []);

  // The page asks every few seconds, and when it is looked at.
  const members = number => ann.waitForFunction(wanted => {
    document.dispatchEvent(new Event('visibilitychange'));
    return document.getElementById('members').textContent === wanted;
  }, number, { polling: 100 });
  await members('2');
  await bob.close();
  await members('1');
  assert.equal(await ann.locator('#room').textContent(), '/tea');
  assert.deepEqual(problems, []);
  await browser.close();
  console.log('two tabs have talked');
})().catch(error => {
  console.error(error);
  process.exit(1);
});
