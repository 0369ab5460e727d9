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

/** The learner's home, which tells of each change and of each further page. */
export function learnersHome(client: ApolloClient, first = 20) {
  const shown = client.watchQuery({ query: documents.MyCoursesDocument, variables: { first } });
  return {
    shown,
    /** Adds the next page to what is shown; false where there is none. */
    async more(): Promise<boolean> {
      const page = shown.getCurrentResult();
      const info = page.dataState === "complete" ? page.data.me?.enrolments?.pageInfo : undefined;
      if (!info?.hasNextPage) return false;
      await shown.fetchMore({ variables: { after: info.endCursor } });
      return true;
    },
    /** Enrols the learner, and asks for the list again: what is new has no place in it yet. */
    async join(collectionId: string, contextId: string) {
      const { data } = await client.mutate({
        mutation: documents.JoinDocument,
        variables: { collectionId, contextId },
        refetchQueries: [documents.MyCoursesDocument],
        awaitRefetchQueries: true,
      });
      return data?.enrol;
    },
  };
}

export async function coursePage(client: ApolloClient, collection: string, context: string) {
  const { data } = await client.query({ query: documents.CoursePageDocument, variables: { collection, context } });
  return data?.collection;
}

export async function groupPage(client: ApolloClient, group: string) {
  const { data } = await client.query({ query: documents.GroupPageDocument, variables: { group } });
  return data?.group;
}
