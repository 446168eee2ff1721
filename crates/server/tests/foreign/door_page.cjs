// Pages of a real browser at a door that wants tokens: `door_page.cjs HOST:PORT OPEN_HOST:PORT TOKEN CHROMIUM`. The first
// server lets in its own pages only, the second one those of this script's server too.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { chromium } = require('playwright-core');

const [own, open, token, executablePath] = process.argv.slice(2);
const args = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

(async () => {
  // Another port is another origin, and yet gets the same cookies.
  const server = http.createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>another page</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const browser = await chromium.launch({ executablePath, args });
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);

  // What becomes of a socket: [subprotocol, what is heard] or [code, reason].
  const tries = (url, protocols = [], first) => page.evaluate(([url, protocols, first]) => new Promise(resolve => {
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => {
      if (first) socket.send(first);
      socket.send('hello');
    };
    socket.onmessage = ({ data }) => resolve([socket.protocol, data]);
    socket.onclose = ({ code, reason }) => resolve([code, reason]);
  }), [url, protocols, first]);

  const offers = ['chat', `bearer.${token}`];
  const refused = [1006, ''];

  // Somebody else's page: with a cookie that the browser sends along, with a token, with anything.
  await context.addCookies([{ name: 'session', value: token, domain: '127.0.0.1', path: '/' }]);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  assert.deepEqual(await tries(`ws://${own}/`), refused);
  assert.deepEqual(await tries(`ws://${own}/`, offers), refused);
  assert.deepEqual(await tries(`ws://${own}/?ticket=${token}`), refused);
  assert.deepEqual(await tries(`ws://${own}/`, [], token), refused);

  // The same page, where it may.
  assert.deepEqual(await tries(`ws://${open}/`), ['', 'hello']);
  await context.clearCookies();
  assert.deepEqual(await tries(`ws://${open}/`, offers), ['chat', 'hello']);
  assert.deepEqual(await tries(`ws://${open}/?ticket=${token}`), ['', 'hello']);
  assert.deepEqual(await tries(`ws://${open}/`, [], token), ['', 'hello']);
  assert.deepEqual(await tries(`ws://${open}/`, [], 'nonsense'), [4401, 'the token is not good here']);

  // The server's own page.
  await page.goto(`http://${own}/`);
  assert.deepEqual(await tries(`ws://${own}/`, offers), ['chat', 'hello']);
  await context.addCookies([{ name: 'session', value: token, domain: '127.0.0.1', path: '/' }]);
  assert.deepEqual(await tries(`ws://${own}/`), ['', 'hello']);

  await browser.close();
  server.close();
  console.log('pages come in where they may');
})().catch(error => {
  console.error(error);
  process.exit(1);
});
