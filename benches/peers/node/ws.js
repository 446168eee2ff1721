// ws with bufferutil and utf-8-validate: node ws.js echo|broadcast PORT [compressed]
'use strict';
const { WebSocketServer } = require('ws');

const [mode, port, compressed] = process.argv.slice(2);
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(port),
  backlog: 4096,
  clientTracking: mode === 'broadcast',
  perMessageDeflate: compressed === 'compressed' && {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    threshold: 128,
    zlibDeflateOptions: { level: 3 },
  },
});

server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    if (mode === 'echo') {
      socket.send(data, { binary });
      return;
    }
    for (const other of server.clients) {
      if (other !== socket && other.readyState === 1) other.send(data, { binary });
    }
  });
});
server.on('listening', () => console.log('ready'));
