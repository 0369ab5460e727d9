// Resolvers over the rows, for every server alike.
import { content, context, enrolmentsOf, figuresIn, figuresOf, groupOf, learners, membersOf } from './rows.js';

const STATUS = ['NOT_STARTED', 'IN_PROGRESS', 'COMPLETED'];
const CONTEXT = { cb: 'BATCH' }; // the one type that the comparison has
const moment = date => (date ? date.toISOString() : null);
const encoded = value => Buffer.from(JSON.stringify(value)).toString('base64url');
const figure = (row, name) => row?.aggregates?.[name] ?? 0;

function percentage(row) {
  const required = figure(row, 'requiredCount');
  return required ? Math.floor((100 * Math.min(figure(row, 'completedCount'), required)) / required) : 0;
}

const collection = row => row && { identifier: row.identifier, name: row.name, leafNodesCount: row.leaf_nodes_count };

async function enrolments(user, first) {
  const found = await enrolmentsOf(user, first + 1);
  const figures = figuresOf(user);
  const page = found.filter(row => row.active).slice(0, first);
  const last = page.at(-1);
  return {
    pageInfo: { hasNextPage: found.length > first, endCursor: last ? encoded([last.collectionid, last.contextid]) : null },
    edges: page.map(row => ({ node: { row, figures, enrolledOn: moment(row.enrolled_on) } })),
  };
}

const Enrolment = {
  collection: async ({ row }) => collection(await content(row.collectionid)),
  context: async ({ row }) => {
    const found = await context(row.contextid);
    return found && {
      contextId: found.contextid, type: CONTEXT[found.type], name: found.name,
      startDate: moment(found.start_date), endDate: moment(found.end_date),
    };
  },
  status: async ({ row, figures }) => STATUS[(await figures.load(row.collectionid))?.status ?? 0],
  completedCount: async ({ row, figures }) => figure(await figures.load(row.collectionid), 'completedCount'),
  completionPercentage: async ({ row, figures }) => percentage(await figures.load(row.collectionid)),
  completedOn: async ({ row, figures }) => moment((await figures.load(row.collectionid))?.completed_on),
  lastAccessedOn: async ({ row, figures }) => moment((await figures.load(row.collectionid))?.last_access_time),
};

async function group(groupId) {
  const [found, members] = await Promise.all([groupOf(groupId), membersOf(groupId)]);
  const users = members.map(member => member.userid);
  return {
    groupId,
    name: found.name,
    activities: found.activities.map(({ id, type }) => ({
      id: encoded(['GroupActivity', groupId, id, type, 'query']),
      type, members, activity: id, rows: figuresIn(id, users), source: 'ROWS', asOf: new Date().toISOString(), complete: true,
    })),
  };
}

const touched = row => row.last_access_time ?? row.enrolled_on;

const Activity = {
  collection: async ({ activity }) => collection(await content(activity)),
  agg: async ({ activity, rows }) => {
    const [figures, published] = await Promise.all([rows, content(activity)]);
    let enrolled = 0, completed = 0, last = null;
    for (const row of figures.values()) {
      const at = touched(row);
      if (at && (!last || at > last)) last = at;
      if (!row.active) continue;
      enrolled += 1;
      if (row.status === 2) completed += 1;
    }
    const lastUpdatedOn = moment(last);
    return [
      { metric: 'enrolledCount', value: enrolled, lastUpdatedOn },
      { metric: 'completedCount', value: completed, lastUpdatedOn },
      { metric: 'completionPercentage', value: enrolled ? Math.floor((100 * completed) / enrolled) : 0, lastUpdatedOn },
      { metric: 'leafNodesCount', value: published?.leaf_nodes_count, lastUpdatedOn: moment(published?.published_on) },
      { metric: 'averageScore', value: null, lastUpdatedOn: null },
    ];
  },
  members: async ({ members, rows }, { first }) => {
    const figures = await rows;
    return { edges: members.slice(0, first).map(member => ({ node: { member, row: figures.get(member.userid) } })) };
  },
};

const Member = {
  learner: async ({ member }, _, { loaders }) => {
    const found = await loaders.learners.load(member.userid);
    return { userId: member.userid, name: found?.name };
  },
  role: ({ member }) => member.role.toUpperCase(),
  completionPercentage: ({ row }) => percentage(row),
  agg: ({ row }) => {
    const lastUpdatedOn = row ? moment(touched(row)) : null;
    return [
      { metric: 'completedCount', value: figure(row, 'completedCount'), lastUpdatedOn },
      { metric: 'completionPercentage', value: percentage(row), lastUpdatedOn },
      { metric: 'timeSpent', value: figure(row, 'timeSpent'), lastUpdatedOn },
    ];
  },
};

export const resolvers = {
  Query: {
    me: async (_, __, { user, loaders }) => ({ userId: user, name: (await loaders.learners.load(user))?.name }),
    group: (_, { groupId }) => group(groupId),
  },
  Learner: { enrolments: ({ userId }, { first }) => enrolments(userId, first) },
  Enrolment, Activity, Member,
};

// The caller is believed: peers check no token.
export const contextOf = headers => ({ user: headers['x-user'], loaders: { learners: learners() } });
