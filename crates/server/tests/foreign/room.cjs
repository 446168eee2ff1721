// Clients of Node's ws in a room of `wirefan broadcast`, among others: `room.cjs URL NAME CLIENTS EVERYBODY MESSAGES`.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const WebSocket = require('ws');

const [url, name] = process.argv.slice(2);
const [clients, everybody, messages] = process.argv.slice(4).map(Number);

async function everybodyIsHere() {
  for (;;) {
    const answer = await fetch(`${url.replace(/^ws/, 'http')}?members`);
    if ((await answer.json()).members === everybody) return;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

// Of every other client each message comes once, and in order.
function listener(socket, own) {
  const next = new Map();
  let left = (everybody - 1) * messages;
  return new Promise((resolve, reject) => {
    socket.on('close', code => reject(new Error(`closed with ${code}, ${left} messages before the end`)));
    socket.on('message', (data, binary) => {
      const [from, number, kind] = data.toString().split(' ');
      if (from === own) reject(new Error('its own message came back'));
      if (Number(number) !== (next.get(from) ?? 0)) reject(new Error(`${own}: ${data} instead of ${next.get(from)}`));
      if (binary !== (kind === 'binary')) reject(new Error(`${data} is of the other kind`));
      next.set(from, Number(number) + 1);
      left -= 1;
      if (left === 0) resolve();
    });
  });
}

(async () => {
  const sockets = Array.from({ length: clients }, () => new WebSocket(url));
  const heard = sockets.map((socket, i) => listener(socket, `${name}${i}`));
  await Promise.all(sockets.map(socket => once(socket, 'open')));
  await everybodyIsHere();
  for (let number = 0; number < messages; number += 1) {
    sockets.forEach((socket, i) => {
      const text = `${name}${i} ${number}`;
      if (number % 3 === 0) socket.send(Buffer.from(`${text} binary`));
      else socket.send(`${text} text`);
    });
  }
  await Promise.all(heard);
  for (const socket of sockets) {
    socket.close(1000);
    assert.equal((await once(socket, 'close'))[0], 1000);
  }
  console.log(`${clients} clients heard ${everybody - 1} others`);
})().catch(error => {
  console.error(error);
  process.exit(1);
});
