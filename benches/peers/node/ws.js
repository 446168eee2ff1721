// ws with bufferutil and utf-8-validate: node ws.js echo|broadcast PORT [compressed] [tls CERTIFICATE KEY]
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { WebSocketServer } = require('ws');

const [mode, port, ...options] = process.argv.slice(2);
const compressed = options[0] === 'compressed';
const tls = options.indexOf('tls');
const below =
  tls < 0
    ? http.createServer()
    : https.createServer({ cert: fs.readFileSync(options[tls + 1]), key: fs.readFileSync(options[tls + 2]) });
const server = new WebSocketServer({
  server: below,
  clientTracking: mode === 'broadcast',
  perMessageDeflate: compressed && {
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
below.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 }, () => console.log('ready'));
