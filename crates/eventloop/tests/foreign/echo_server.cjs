// Node's ws as a server: echoes to one client, prints its port first, and ends when that closes with 1000. `off` as the
// argument switches compression off.
'use strict';
const assert = require('node:assert/strict');
const { WebSocketServer } = require('ws');

const deflate = process.argv[2] !== 'off';
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: deflate && { threshold: 0 },
  handleProtocols: protocols => (protocols.has('echo') ? 'echo' : false),
});
server.on('listening', () => console.log(server.address().port));
server.on('connection', (socket, request) => {
  assert.equal(request.headers['x-own'], 'yes');
  assert.equal(socket.protocol, 'echo');
  assert.equal(socket.extensions.includes('permessage-deflate'), deflate);
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('close', code => {
    assert.equal(code, 1000);
    server.close();
  });
});
setTimeout(() => assert.fail('nobody has closed'), 120_000).unref();
