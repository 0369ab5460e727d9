// A Cohort that runs, with its sample, and one way to ask it for both clients.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import type { OperationVariables } from "@apollo/client";
import type { AnyVariables } from "@urql/core";

import { apollo } from "../src/apollo.js";
import { urql } from "../src/urql.js";

function given(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`the tests need ${name}`);
  return value;
}

export const url = given("COHORT_URL");
export const learner = given("COHORT_LEARNER_TOKEN");
export const mentor = given("COHORT_MENTOR_TOKEN");
export const service = given("COHORT_SERVICE_TOKEN");

type Document<T, V> = TypedDocumentNode<T, V>;

/** What the tests need of a client with a cache. */
export interface Cached {
  /** Asks the server; the answer goes into the cache. */
  ask<T, V extends OperationVariables & AnyVariables>(document: Document<T, V>, variables: V): Promise<T>;
  /** What the cache alone answers: what a page shows now. */
  shown<T, V extends OperationVariables & AnyVariables>(document: Document<T, V>, variables: V): Promise<T>;
  change<T, V extends OperationVariables & AnyVariables>(document: Document<T, V>, variables: V): Promise<T>;
}

/** `clash`: keys activities as if their activity's id were enough, as a client would if that were their `id`. */
export const clients: Record<string, (token: string, clash?: boolean) => Cached> = {
  Apollo(token, clash = false) {
    const client = apollo(url, token, clash ? { GroupActivity: { keyFields: ["activityId"] } } : {});
    return {
      async ask(query, variables) {
        return known((await client.query({ query, variables, fetchPolicy: "network-only" })).data);
      },
      async shown(query, variables) {
        return known((await client.query({ query, variables, fetchPolicy: "cache-only" })).data);
      },
      async change(mutation, variables) {
        return known((await client.mutate<any, any>({ mutation, variables })).data);
      },
    };
  },
  urql(token, clash = false) {
    const client = urql(url, token, clash ? { GroupActivity: (data) => String(data["activityId"]) } : {});
    return {
      async ask(query, variables) {
        const { data, error } = await client.query(query, variables, { requestPolicy: "network-only" }).toPromise();
        if (error) throw error;
        return known(data);
      },
      async shown(query, variables) {
        return known((await client.query(query, variables, { requestPolicy: "cache-only" }).toPromise()).data);
      },
      async change(mutation, variables) {
        const { data, error } = await client.mutation(mutation, variables).toPromise();
        if (error) throw error;
        return known(data);
      },
    };
  },
};

export function known<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error("there is no answer");
  return value;
}

/** The answer itself, without any client or cache. */
export async function plain<T>(token: string, query: string, variables: object): Promise<T> {
  const answer = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await answer.json()) as { data?: T; errors?: unknown };
  if (errors) throw new Error(JSON.stringify(errors));
  return known(data);
}
