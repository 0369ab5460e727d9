// The data of the same two pages with urql and its normalised cache, which knows the schema.
import { Client, fetchExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import type { KeyingConfig } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";

import * as documents from "./generated/graphql.js";
import schema from "./generated/introspection.json" with { type: "json" };

// Every field `id` is unique in all of Cohort. A type without it is a part of the object around it, and is kept there.
const parts: KeyingConfig = Object.fromEntries(
  schema.__schema.types
    .filter((type) => type.kind === "OBJECT" && !type.fields?.some((field) => field.name === "id"))
    .map((type) => [type.name, () => null]),
);

/** A client for one person. Queries go by GET: a browser keeps the answers, and asks whether they still hold. */
export function urql(url: string, token: string, keys: KeyingConfig = {}): Client {
  return new Client({
    url: `${url}/graphql`,
    preferGetMethod: "force",
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [
      cacheExchange({
        schema,
        keys: { ...parts, ...keys },
        resolvers: {
          Learner: { enrolments: relayPagination() },
          GroupActivity: { members: relayPagination() },
        },
        updates: {
          Mutation: {
            // What is new has no place in a list yet: the lists are asked for again.
            enrol(_answer, _arguments, cache) {
              const me = cache.resolve("Query", "me");
              for (const field of cache.inspectFields(me as string | null)) {
                if (field.fieldName === "enrolments") cache.invalidate(me as string, field.fieldKey);
              }
            },
          },
        },
      }),
      fetchExchange,
    ],
  });
}

/** A page of the learner's home; each answer has all pages that were asked for before it, too. */
export async function learnersHome(client: Client, first = 20, after?: string) {
  const { data, error } = await client.query(documents.MyCoursesDocument, { first, ...(after && { after }) });
  if (error) throw error;
  return data?.me?.enrolments;
}

export async function join(client: Client, collectionId: string, contextId: string) {
  const { data, error } = await client.mutation(documents.JoinDocument, { collectionId, contextId });
  if (error) throw error;
  return data?.enrol;
}

export async function coursePage(client: Client, collection: string, context: string) {
  const { data, error } = await client.query(documents.CoursePageDocument, { collection, context });
  if (error) throw error;
  return data?.collection;
}

export async function groupPage(client: Client, group: string) {
  const { data, error } = await client.query(documents.GroupPageDocument, { group });
  if (error) throw error;
  return data?.group;
}
