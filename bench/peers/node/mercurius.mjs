// Mercurius: Fastify, documents compiled by graphql-jit from their second execution on.
import Fastify from 'fastify';
import mercurius from 'mercurius';
import { contextOf, resolvers } from './resolvers.js';
import { typeDefs } from './schema.js';

const app = Fastify();
app.register(mercurius, { schema: typeDefs, resolvers, jit: 1, context: request => contextOf(request.headers) });
await app.listen({ port: Number(process.env.PEER_PORT) });
