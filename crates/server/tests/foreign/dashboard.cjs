// The dashboard in a real browser: `dashboard.cjs ADMIN-URL CHROMIUM TOKEN SHOTS`. The test keeps a connection in the room
// /tea busy, and one in /coffee, which is closed here.
'use strict';
const assert = require('node:assert/strict');
const path = require('node:path');
const { chromium } = require('playwright-core');

const [url, executablePath, token, shots] = process.argv.slice(2);
const args = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

(async () => {
  const browser = await chromium.launch({ executablePath, args });
  const problems = [];
  const open = async options => {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('pageerror', error => problems.push(String(error)));
    page.on('console', message => {
      // The browser tells of refusals that are provoked here: no token, no such code, a connection that has ended.
      const wanted = /status of 40[014] /.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !wanted) problems.push(message.text());
    });
    await page.goto(`${url}/`);
    return page;
  };
  const text = (page, id, wanted) => page.waitForFunction(([id, wanted]) =>
    new RegExp(wanted).test(document.getElementById(id).textContent), [id, wanted], { polling: 100 });

  const page = await open({ viewport: { width: 1280, height: 1100 }, colorScheme: 'light' });
  assert.ok(page.url().endsWith('/dashboard'));
  await page.waitForSelector('[data-state=locked]');
  assert.ok(await page.locator('#board').isHidden());
  await page.fill('#token', 'not the token, by far');
  await page.press('#token', 'Enter');
  await text(page, 'login-why', 'not the token');
  await page.fill('#token', token);
  await page.press('#token', 'Enter');
  await page.waitForSelector('[data-state=live]');

  // What is there, and what happens.
  await text(page, 'connections', '^[1-9]');
  await text(page, 'received', '^[1-9]');
  await text(page, 'sent', '^[1-9]');
  await text(page, 'rooms', '/tea');
  await text(page, 'turns', '[µm]s$');
  await text(page, 'trips', '[µm]s$');
  await text(page, 'handshakes', 'accepted');
  await page.waitForFunction(() => document.querySelectorAll('#messages-chart path').length === 3, null, { polling: 100 });
  assert.match(await page.locator('#messages-chart').getAttribute('aria-label'), /^Messages in and out a second: now [1-9]/);
  // Its lines move, for the screenshot too.
  await page.waitForFunction(() => document.querySelector('#messages-chart .first').getAttribute('d').split('L').length > 8,
    null, { polling: 200 });
  await page.screenshot({ path: path.join(shots, 'dashboard-light.png'), fullPage: true });

  // One connection is looked at and closed, by the keyboard alone.
  await page.fill('#filter', '/coffee');
  await page.waitForFunction(() => {
    const list = document.getElementById('list');
    return list.children.length === 1 && list.textContent.includes('/coffee');
  }, null, { polling: 100 });
  await page.focus('#list button');
  await page.keyboard.press('Enter');
  await text(page, 'facts', '/coffee');
  await page.screenshot({ path: path.join(shots, 'dashboard-connection.png') });
  await page.fill('#code', '1005');
  await page.press('#code', 'Enter');
  await text(page, 'details-said', 'code is');
  await page.fill('#code', '4002');
  await page.fill('#reason', 'seen on the dashboard');
  await page.press('#reason', 'Enter');
  await text(page, 'details-said', 'It has ended');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.getElementById('details').open);
  await text(page, 'closed', 'we closed');
  await page.waitForFunction(() => document.getElementById('list').children.length === 0, null, { polling: 100 });

  // A reload keeps the token, another tab does not have it.
  await page.reload();
  await page.waitForSelector('[data-state=live]');

  // In the dark and on a phone nothing is cut off.
  for (const [name, options] of [
    ['dark', { viewport: { width: 1280, height: 1100 }, colorScheme: 'dark' }],
    ['phone', { viewport: { width: 390, height: 844 }, colorScheme: 'dark', isMobile: true, hasTouch: true }],
  ]) {
    const other = await open(options);
    await other.fill('#token', token);
    await other.click('#login-form button');
    await other.waitForSelector('[data-state=live]');
    await text(other, 'rooms', '/tea');
    await other.waitForFunction(() => document.querySelectorAll('#messages-chart path').length === 3, null, { polling: 100 });
    const wider = await other.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wider, 0, `${name}: nothing stands out`);
    await other.screenshot({ path: path.join(shots, `dashboard-${name}.png`), fullPage: true });
  }
  assert.deepEqual(problems, []);
  await browser.close();
  console.log('the dashboard was looked at');
})().catch(error => {
  console.error(error);
  process.exit(1);
});
