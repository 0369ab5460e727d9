// The slice of Cohort's schema that the two documents need.
export const typeDefs = `
scalar DateTime
type Query { me: Learner! group(groupId: String!): Group }
input EnrolmentFilter { active: Boolean }
type Learner { userId: ID! name: String enrolments(first: Int = 20, after: String, filter: EnrolmentFilter): EnrolmentConnection! }
type EnrolmentConnection { pageInfo: PageInfo! edges: [EnrolmentEdge!]! }
type PageInfo { hasNextPage: Boolean! endCursor: String }
type EnrolmentEdge { node: Enrolment! }
type Enrolment {
  collection: Collection context: Context status: String! completedCount: Int! completionPercentage: Int!
  enrolledOn: DateTime completedOn: DateTime lastAccessedOn: DateTime
}
type Collection { identifier: ID! name: String! leafNodesCount: Int! }
type Context { contextId: ID! type: String! name: String! startDate: DateTime endDate: DateTime }
type Group { groupId: ID! name: String! activities: [Activity!]! }
type Activity {
  id: ID! type: String! collection: Collection agg: [Metric!]! source: String asOf: DateTime complete: Boolean
  members(first: Int = 20): MemberConnection!
}
type MemberConnection { edges: [MemberEdge!]! }
type MemberEdge { node: Member! }
type Member { learner: Learner! role: String! completionPercentage: Int agg: [Metric!]! }
type Metric { metric: String! value: Float lastUpdatedOn: DateTime }
`;
