// Bun.serve, which has uWebSockets inside: bun bun.js echo|broadcast PORT [compressed] [tls CERTIFICATE KEY]
const [mode, port, ...options] = process.argv.slice(2);
const compressed = options[0] === 'compressed';
const tls = options.indexOf('tls');

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(port),
  tls: tls < 0 ? undefined : { cert: Bun.file(options[tls + 1]), key: Bun.file(options[tls + 2]) },
  fetch(request, server) {
    const room = mode === 'broadcast' ? new URL(request.url).pathname : '';
    const upgraded = server.upgrade(request, { data: room });
    return upgraded ? undefined : new Response('a WebSocket is expected', { status: 400 });
  },
  websocket: {
    maxPayloadLength: 16 << 20,
    backpressureLimit: 16 << 20,
    idleTimeout: 0,
    perMessageDeflate: compressed && { compress: 'shared', decompress: 'shared' },
    open(socket) {
      if (mode === 'broadcast') socket.subscribe(socket.data);
    },
    message(socket, data) {
      if (mode === 'echo') socket.send(data, compressed);
      else socket.publish(socket.data, data, compressed);
    },
  },
});
console.log('ready');
