// Node's ws against `wirefan echo`, in every way in which the two can talk. The URL is the argument.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const WebSocket = require('ws');

const url = process.argv[2];
const SIZES = [0, 1, 2, 125, 126, 127, 65535, 65536, 65537, 1048576];

async function open() {
  const socket = new WebSocket(url);
  // Messages that come before somebody asks for them wait here.
  const messages = [];
  let wake = () => {};
  socket.on('message', (data, binary) => {
    messages.push(binary ? data : data.toString());
    wake();
  });
  socket.on('close', () => wake());
  socket.next = async () => {
    while (!messages.length) {
      assert.equal(socket.readyState, WebSocket.OPEN, 'closed instead of a message');
      await new Promise(resolve => { wake = resolve; });
    }
    return messages.shift();
  };
  await once(socket, 'open');
  return socket;
}

function noise(length) {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => i * 31 + (i >> 8)));
}

async function closed(socket) {
  const [code, reason] = await once(socket, 'close');
  return [code, reason.toString()];
}

async function sizes() {
  const socket = await open();
  // ws offers compression by itself.
  assert.equal(socket.extensions, process.argv[3] === 'off' ? '' : 'permessage-deflate');
  for (const size of SIZES) {
    const data = noise(size);
    socket.send(data);
    assert.ok(data.equals(await socket.next()), `${size} bytes`);
    const text = 'x'.repeat(size);
    socket.send(text);
    assert.ok(await socket.next() === text, `${size} characters`);
  }
  for (const text of ['ß', '€', '😀', '\0', '\u{10ffff}', 'grün 茶 ☕'.repeat(1000)]) {
    socket.send(text);
    assert.equal(await socket.next(), text);
  }
  socket.close(1000, 'done');
  assert.deepEqual(await closed(socket), [1000, '']);
}

async function fragments() {
  const socket = await open();
  const euro = Buffer.from('€');
  // Cut inside a character, a ping between the pieces, empty pieces.
  socket.send(euro.subarray(0, 1), { fin: false, binary: false });
  socket.ping('between');
  socket.send('', { fin: false });
  socket.send(euro.subarray(1), { fin: false });
  socket.send('', { fin: true });
  const [pong] = await once(socket, 'pong');
  assert.equal(pong.toString(), 'between');
  assert.equal(await socket.next(), '€');
  const data = noise(100_000);
  for (let at = 0; at < data.length; at += 999) {
    socket.send(data.subarray(at, at + 999), { fin: at + 999 >= data.length, binary: true });
  }
  assert.ok(data.equals(await socket.next()));
  socket.close();
  assert.deepEqual(await closed(socket), [1005, '']);
}

async function pings() {
  const socket = await open();
  for (const payload of ['', 'ping', 'x'.repeat(125)]) {
    socket.ping(payload);
    const [pong] = await once(socket, 'pong');
    assert.equal(pong.toString(), payload);
  }
  socket.pong('that nobody asked for');
  socket.send('still here');
  assert.equal(await socket.next(), 'still here');
  socket.terminate();
}

async function order() {
  const socket = await open();
  for (let i = 0; i < 2000; i += 1) socket.send(String(i));
  for (let i = 0; i < 2000; i += 1) assert.equal(await socket.next(), String(i));
  socket.close(4999, 'ordered');
  assert.deepEqual(await closed(socket), [4999, '']);
}

async function closeCodes() {
  for (const code of [1000, 1001, 1003, 1008, 1011, 3000, 4000]) {
    const socket = await open();
    socket.close(code, 'grün '.repeat(20));
    assert.equal((await closed(socket))[0], code);
  }
}

// What ws would never send, written past it.
async function mistakes() {
  for (const [bytes, code] of [
    [[0x81, 0x01, 0x78], 1002], // no mask
    [[0xa1, 0x80, 0, 0, 0, 0], 1002], // a reserved bit
    [[0x83, 0x80, 0, 0, 0, 0], 1002], // a reserved opcode
    [[0x80, 0x80, 0, 0, 0, 0], 1002], // a continuation of nothing
    [[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007], // not UTF-8
    [[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0], 1009], // one byte over the limit
  ]) {
    const socket = await open();
    socket._socket.write(Buffer.from(bytes));
    const [got, reason] = await closed(socket);
    assert.equal(got, code, reason);
    assert.notEqual(reason, '');
  }
}

async function crowd() {
  const sockets = await Promise.all(Array.from({ length: 100 }, open));
  await Promise.all(sockets.map(async (socket, number) => {
    for (let i = 0; i < 10; i += 1) {
      socket.send(`${number} ${i}`);
      assert.equal(await socket.next(), `${number} ${i}`);
    }
    socket.close(1000);
    assert.equal((await closed(socket))[0], 1000);
  }));
}

(async () => {
  for (const part of [sizes, fragments, pings, order, closeCodes, mistakes, crowd]) {
    await part();
    console.log(`${part.name}: ok`);
  }
})().catch(error => {
  console.error(error);
  process.exit(1);
});
