// Rows by cassandra-driver and DataLoader, as their documentation shows them. Contents and contexts change rarely, so they are kept
// for the life of the process, where Cohort keeps them for five seconds. Nothing is healed, and nobody is asked who may see what.
import cassandra from 'cassandra-driver';
import DataLoader from 'dataloader';

const MOST_KEYS = 100; // of a statement, as Cohort sends them
const rows = new URL(process.env.PEER_ROWS);
const client = new cassandra.Client({
  contactPoints: [`${rows.hostname}:${rows.port || 9042}`],
  localDataCenter: 'datacenter1',
  keyspace: rows.pathname.slice(1),
  authProvider: new cassandra.auth.PlainTextAuthProvider(rows.username, rows.password),
  queryOptions: { prepare: true, consistency: cassandra.types.consistencies.localQuorum, fetchSize: 5000 },
});
await client.connect();

const select = (text, values) => client.execute(text, values).then(found => found.rows);

function portions(keys) {
  const made = [];
  for (let i = 0; i < keys.length; i += MOST_KEYS) made.push(keys.slice(i, i + MOST_KEYS));
  return made;
}

async function byColumn(column, text, keys, ...values) {
  const found = await Promise.all(portions(keys).map(some => select(text, [some, ...values])));
  return new Map(found.flat().map(row => [row[column], row]));
}

const loader = (column, text) => new DataLoader(async keys => {
  const found = await byColumn(column, text, keys);
  return keys.map(key => found.get(key));
});

const contents = loader('identifier',
  'SELECT identifier, name, leaf_nodes_count, published_on FROM content WHERE identifier IN ?');
const contexts = loader('contextid',
  'SELECT contextid, type, name, start_date, end_date FROM context WHERE contextid IN ?');

export const content = id => contents.load(id);
export const context = id => contexts.load(id);
export const learners = () => loader('userid', 'SELECT userid, name FROM learner WHERE userid IN ?');

export const enrolmentsOf = (user, most) =>
  select('SELECT collectionid, contextid, active, enrolled_on FROM user_enrolments WHERE userid = ? LIMIT ?', [user, most]);

// The figures of one learner in many collections; of many learners in one.
export const figuresOf = user => new DataLoader(async collections => {
  const found = await byColumn('activity_id', "SELECT activity_id, aggregates, completed_on, last_access_time, status "
    + "FROM user_activity_agg_v2 WHERE activity_type = 'Course' AND activity_id IN ? AND user_id = ?", collections, user);
  return collections.map(id => found.get(id));
});

export async function figuresIn(activity, users) {
  const text = "SELECT user_id, aggregates, active, enrolled_on, last_access_time, status "
    + "FROM user_activity_agg_v2 WHERE activity_type = 'Course' AND activity_id = ? AND user_id IN ?";
  const found = await Promise.all(portions(users).map(some => select(text, [activity, some])));
  return new Map(found.flat().map(row => [row.user_id, row]));
}

export const groupOf = async id => (await select('SELECT name, activities FROM learner_group WHERE groupid = ?', [id]))[0];
export const membersOf = async id =>
  (await select('SELECT userid, role, status FROM group_member WHERE groupid = ?', [id])).filter(m => m.status === 'active');
