// Node's ws at a door that wants tokens, in every way in which it can bring one: `door.cjs URL TOKEN`.
'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const WebSocket = require('ws');

const [url, token] = process.argv.slice(2);
const { host } = new URL(url);
const BAD = 'bad-0123456789abcdef';

// Opens, says something and hears it; returns the subprotocol.
async function echoes(socket, first) {
  await once(socket, 'open');
  if (first) socket.send(first);
  socket.send('hello');
  const [data] = await once(socket, 'message');
  assert.equal(data.toString(), 'hello');
  socket.close(1000);
  assert.equal((await once(socket, 'close'))[0], 1000);
  return socket.protocol;
}

// The status and the reason of a refusal.
async function refused(socket) {
  const [request, response] = await once(socket, 'unexpected-response');
  let body = '';
  for await (const chunk of response) body += chunk;
  request.destroy();
  return [response.statusCode, body];
}

(async () => {
  const bearer = given => ({ headers: { Authorization: `Bearer ${given}` } });
  assert.equal(await echoes(new WebSocket(url, bearer(token))), '');
  assert.deepEqual(await refused(new WebSocket(url, bearer(BAD))), [401, 'the token is not good here\n']);

  assert.equal(await echoes(new WebSocket(url, ['chat', `bearer.${token}`])), 'chat');
  assert.equal((await refused(new WebSocket(url, ['chat', `bearer.${BAD}`])))[0], 401);

  const cookie = { Cookie: `session=${token}` };
  await echoes(new WebSocket(url, { headers: cookie, origin: `http://${host}` }));
  assert.deepEqual(
    await refused(new WebSocket(url, { headers: cookie, origin: 'https://evil.example' })),
    [403, 'pages of this origin are not allowed here\n']);

  await echoes(new WebSocket(`${url}?ticket=${token}`));
  await echoes(new WebSocket(url), token);
  const stranger = new WebSocket(url);
  await once(stranger, 'open');
  stranger.send(BAD);
  const [code, reason] = await once(stranger, 'close');
  assert.deepEqual([code, reason.toString()], [4401, 'the token is not good here']);
  console.log('every way in, and none without');
})().catch(error => {
  console.error(error);
  process.exit(1);
});
