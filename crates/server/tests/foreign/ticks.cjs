// Clients of `ws`, and a browser, that hear a stream of ticks in a room whose members share a compressor's history:
// `ticks.cjs URL CLIENTS TICKS [CHROMIUM]`. Every tick has to come once, in order and unchanged, in half of its bytes.
'use strict';

const WebSocket = require('ws');

const [url, clients, ticks, browser] = process.argv.slice(2);
const COUNT = Number(ticks);

// The same in main.rs and ticks.py.
const tick = (i) => `{"symbol":"SYM${i % 7}","bid":${100 + (i % 50)}.25,"ask":${101 + (i % 50)}.5,"time":${1700000000 + i * 37}}`;

function hear() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    let next = 0;
    let plain = 0;
    socket.on('message', (data, isBinary) => {
      const text = data.toString();
      if (isBinary || text !== tick(next)) {
        reject(new Error(`${text} instead of ${tick(next)}`));
        return;
      }
      plain += text.length;
      next += 1;
      if (next === COUNT) {
        const bytes = socket._socket.bytesRead;
        if (!socket.extensions.includes('permessage-deflate')) reject(new Error('no compression'));
        if (bytes * 2 > plain) reject(new Error(`${bytes} bytes for ${plain}`));
        socket.close(1000);
      }
    });
    socket.on('close', (code) => (next === COUNT && code === 1000 ? resolve() : reject(new Error(`${next} ticks, ${code}`))));
    socket.on('error', reject);
  });
}

async function hearInBrowser() {
  const { chromium } = require('playwright-core');
  const instance = await chromium.launch({
    executablePath: browser,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  try {
    const page = await instance.newPage();
    await page.goto(url.replace('ws', 'http').replace(/\/[^/]*$/, '/elsewhere'));
    const wrong = await page.evaluate(
      ([target, count, source]) =>
        new Promise((resolve) => {
          const expected = new Function(`return ${source}`)();
          const socket = new WebSocket(target);
          let next = 0;
          socket.onmessage = ({ data }) => {
            if (data !== expected(next)) resolve(`${data} instead of ${expected(next)}`);
            next += 1;
            if (next === count) resolve(socket.extensions.includes('permessage-deflate') ? null : 'no compression');
          };
          socket.onclose = ({ code }) => resolve(`closed with ${code} after ${next}`);
        }),
      [url, COUNT, tick.toString()],
    );
    if (wrong) throw new Error(wrong);
  } finally {
    await instance.close();
  }
}

const all = Array.from({ length: Number(clients) }, hear);
if (browser) all.push(hearInBrowser());
Promise.all(all).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
