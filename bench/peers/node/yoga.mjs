import { createServer } from 'node:http';
import { createSchema, createYoga } from 'graphql-yoga';
import { contextOf, resolvers } from './resolvers.js';
import { typeDefs } from './schema.js';

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: ({ request }) => contextOf({ 'x-user': request.headers.get('x-user') }),
  logging: false,
});
createServer(yoga).listen(Number(process.env.PEER_PORT), '127.0.0.1');
