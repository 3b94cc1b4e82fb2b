// Calls through grpc-js's xDS client; the lines it reads and writes are described in tests/support/xds_caller.py.
'use strict';
const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const same = (bytes) => bytes;
const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());

function call(path, metadata) {
  return new Promise((resolve) => {
    const deadline = Date.now() + 10000;
    client.makeUnaryRequest(path, same, same, Buffer.alloc(0), metadata, { deadline }, (error, reply) =>
      resolve(error ? grpc.status[error.code] : reply.toString()));
  });
}

async function shares({ count, path, metadata }) {
  const fields = new grpc.Metadata();
  for (const [name, value] of Object.entries(metadata)) fields.set(name, value);
  const counts = {};
  for (let done = 0; done < count; done++) {
    const answer = await call(path, fields);
    counts[answer] = (counts[answer] ?? 0) + 1;
  }
  return counts;
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await shares(JSON.parse(line))) + '\n');
  }
  client.close();
})();
