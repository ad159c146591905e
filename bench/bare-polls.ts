/**
 * A program of its own: a poll on Fastify as it comes, with a constant answer, and with a statement
 * of its own for every poll.
 */
import Fastify from 'fastify';
import pg from 'pg';

const [port, databaseUrl] = process.argv.slice(2);
const server = Fastify();
server.get('/', () => ({ status: 'ok' }));
server.post('/constant/:id/acquire', (_request, reply) => {
  void reply.code(204).header('retry-after', '60').send();
});

const pool = new pg.Pool({ connectionString: databaseUrl, max: 8 });
const LOOK = {
  name: 'look',
  text: `select from dispatch.assignments where executor_id = $1 and state = 'ASSIGNED' limit 1`,
};
server.post<{ Params: { id: string } }>('/single/:id/acquire', async (request, reply) => {
  await pool.query({ ...LOOK, values: [request.params.id] });
  return reply.code(204).header('retry-after', '60').send();
});
await server.listen({ port: Number(port), host: '127.0.0.1' });
process.once('SIGTERM', () => process.exit(0));
