// Bun.serve, which has uWebSockets inside: bun bun.js echo|broadcast PORT [compressed]
const [mode, port, compressed] = process.argv.slice(2);

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(port),
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response('a WebSocket is expected', { status: 400 });
  },
  websocket: {
    maxPayloadLength: 16 << 20,
    backpressureLimit: 16 << 20,
    idleTimeout: 0,
    perMessageDeflate: compressed === 'compressed' && { compress: 'shared', decompress: 'shared' },
    open(socket) {
      if (mode === 'broadcast') socket.subscribe('room');
    },
    message(socket, data) {
      if (mode === 'echo') socket.send(data, compressed === 'compressed');
      else socket.publish('room', data, compressed === 'compressed');
    },
  },
});
console.log('ready');
