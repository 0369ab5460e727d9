// The data of two pages with Apollo Client: a learner's home and courses, and a mentor's group page.
import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import type { TypePolicies } from "@apollo/client";
import { relayStylePagination } from "@apollo/client/utilities";

import * as documents from "./generated/graphql.js";

// Every field `id` is unique in all of Cohort, so no type needs keyFields. Pages of a list grow into one list, for each
// filter and order of it.
const policies: TypePolicies = {
  Learner: { fields: { enrolments: relayStylePagination(["filter", "orderBy"]) } },
  GroupActivity: { fields: { members: relayStylePagination(["filter", "orderBy"]) } },
};

/** A client for one person. Queries go by GET: a browser keeps the answers, and asks whether they still hold. */
export function apollo(url: string, token: string, typePolicies: TypePolicies = {}): ApolloClient {
  return new ApolloClient({
    link: new HttpLink({
      uri: `${url}/graphql`,
      headers: { authorization: `Bearer ${token}` },
      useGETForQueries: true,
    }),
    cache: new InMemoryCache({ typePolicies: { ...policies, ...typePolicies } }),
  });
}

/** A page of the learner's home; each answer has all pages that were asked for before it, too. */
export async function learnersHome(client: ApolloClient, first = 20, after?: string) {
  await client.query({
    query: documents.MyCoursesDocument,
    variables: { first, ...(after && { after }) },
    fetchPolicy: after ? "network-only" : "cache-first", // the list that is kept would be the answer for each page
  });
  return client.readQuery({ query: documents.MyCoursesDocument, variables: { first } })?.me?.enrolments;
}

/** Enrols the learner, and drops the lists that were kept: what is new has no place in them yet. */
export async function join(client: ApolloClient, collectionId: string, contextId: string) {
  const { data } = await client.mutate({
    mutation: documents.JoinDocument,
    variables: { collectionId, contextId },
    update(cache, answer) {
      const learner = answer.data?.enrol.enrolment ? client.readQuery({ query: documents.MyCoursesDocument })?.me : null;
      if (learner) cache.evict({ id: `Learner:${learner.id}`, fieldName: "enrolments" });
    },
  });
  return data?.enrol;
}

export async function coursePage(client: ApolloClient, collection: string, context: string) {
  const { data } = await client.query({ query: documents.CoursePageDocument, variables: { collection, context } });
  return data?.collection;
}

export async function groupPage(client: ApolloClient, group: string) {
  const { data } = await client.query({ query: documents.GroupPageDocument, variables: { group } });
  return data?.group;
}
