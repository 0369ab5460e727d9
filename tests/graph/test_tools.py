"""Tools as documents make them: their names, words, and the JSON Schemas of what they take and give (R-MCP-1)."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp.shared.tool_name_validation import validate_tool_name

from gateway.pages.ready_queries import QUERIES
from graph.documents.limits import Limits
from graph.execution.upstream import core_schema
from graph.schema import build_schema, schema
from graph.tools import ADDITIVE, LONGEST_NAME, REPEATABLE, Tool, tools_of, uniquely_named
from rules.client_documents import TrustedDocument, document_id

LOADED = datetime(2026, 1, 31, tzinfo=UTC)


def trusted(text: str, loaded_on: datetime = LOADED) -> TrustedDocument:
    return TrustedDocument(document_id(text), "Some", text, loaded_on)


def tool(text: str) -> Tool:
    (found,) = tools_of(schema, trusted(text))
    return found


def test_a_tool_has_the_name_of_its_operation_and_the_words_of_its_document() -> None:
    described = tool('"""\nWho I am.\n"""\nquery Me { me { userId } }')
    assert (described.name, described.description) == ("Me", "Who I am.")
    commented = tool("# Who I am,\n#   in a line.\nquery Me { me { userId } }")
    assert commented.description == "Who I am,\nin a line."
    neither = tool('{ collection(identifier: "course") { name } me { userId } }')
    query = core_schema(schema).query_type
    assert query is not None
    assert (
        neither.description == f"{query.fields['collection'].description}\n{query.fields['me'].description}"
    )
    assert neither.name == f"document_{neither.document.id[:8]}"


def test_each_operation_of_a_document_is_a_tool() -> None:
    text = (
        "# One.\nquery A { me { ...of } }\n# Two.\nquery B { me { name } }\nfragment of on Learner { userId }"
    )
    found = tools_of(schema, trusted(text))
    assert [(one.name, one.operation, one.description) for one in found] == [
        ("A", "A", "One."),
        ("B", "B", "Two."),
    ]


def test_of_one_name_the_document_that_was_loaded_last_keeps_it() -> None:
    old, older, new = (
        trusted(f"query Me {{ me {{ {field} }} }}", LOADED + timedelta(days=days))
        for field, days in (("userId", 1), ("name", 0), ("id", 2))
    )
    tools = [one for document in (old, older, new) for one in tools_of(schema, document)]
    found = uniquely_named(tools)
    assert {name: one.document.id for name, one in found.items()} == {
        "Me": new.id,
        f"Me_{old.id[:8]}": old.id,
        f"Me_{older.id[:8]}": older.id,
    }
    assert [name for name, one in found.items() if not one.superseded] == ["Me"]
    assert uniquely_named(reversed(tools)) == found, "in whatever order the store has them"


def test_names_hold_for_the_protocol_and_for_models() -> None:
    long = "A" * 200
    documents = [trusted(f"query {long} {{ me {{ {field} }} }}") for field in ("userId", "name")]
    found = uniquely_named(one for document in documents for one in tools_of(schema, document))
    assert len(found) == 2
    for name in found:
        assert len(name) <= LONGEST_NAME
        assert validate_tool_name(name).is_valid
    assert {one.operation for one in found.values()} == {long}


def test_a_document_that_the_schema_or_a_limit_lets_through_no_longer_is_no_tool() -> None:
    assert tools_of(schema, trusted("query Gone { nothing }")) == ()
    assert tools_of(schema, trusted("query Broken {")) == ()
    narrow = build_schema(Limits(most_fields=1))
    assert tools_of(narrow, trusted("query Me { me { userId name } }")) == ()


VARIABLES = """query All(
  $needed: String!, $ids: [String!]!, $status: ContextStatus = ONGOING, $filter: LearnerFilter, $query: ActivityMetricsInput!
  $first: Int = 20
) {
  a: collection(identifier: $needed) { name }
  b: collections(identifiers: $ids) { name }
  me { contexts(filter: { status: $status }, first: $first) { edges { node { contextId } } } }
  searchLearners(filter: $filter, first: $first) { edges { node { userId } } }
  activityMetrics(query: $query) { rows }
}"""


def test_the_arguments_of_a_tool_are_typed_by_its_variables() -> None:
    taken = tool(VARIABLES).arguments
    Draft202012Validator.check_schema(taken)
    assert taken["required"] == ["needed", "ids", "query"], (
        "what has a default, or may be null, may be left out"
    )
    properties = taken["properties"]
    assert properties["needed"]["type"] == "string"
    assert properties["ids"]["items"] == {"type": "string"}
    assert properties["status"]["default"] == "ONGOING"
    assert {"type": "string", "enum": ["UPCOMING", "ONGOING", "COMPLETED"]} in properties["status"]["anyOf"]
    assert {"$ref": "#/$defs/LearnerFilter"} in properties["filter"]["anyOf"]
    assert properties["query"]["$ref"] == "#/$defs/ActivityMetricsInput"
    core = core_schema(schema)
    assert core.query_type is not None
    argument = core.query_type.fields["collection"].args["identifier"]
    assert properties["needed"]["description"] == argument.description, "the schema says what it is"

    check = Draft202012Validator(taken)
    right: dict[str, Any] = {
        "needed": "course",
        "ids": ["course"],
        "query": {"activityIds": ["course"], "metrics": ["ENROLLED_COUNT"]},
    }
    assert check.is_valid(right)
    assert check.is_valid({**right, "filter": None, "first": 5})
    one_of = {"status": ["COMPLETED"]}
    assert check.is_valid({**right, "query": {**right["query"], "filter": {"not": one_of}}})
    for wrong in (
        {**right, "query": {**right["query"], "filter": {"not": one_of, **one_of}}},
        {**right, "needed": None},
        {**right, "ids": [1]},
        {**right, "status": "SOME"},
        {**right, "query": {"metrics": ["ENROLLED"]}},
        {**right, "query": {**right["query"], "nothing": 1}},
        {**right, "more": 1},
        {"needed": "course"},
    ):
        assert not check.is_valid(wrong), wrong


def test_a_variable_within_an_input_is_described_and_an_own_description_wins() -> None:
    text = """mutation Start("What is opened." $content: String!, $collection: String) {
      startView(input: { contentId: $content, collectionId: $collection }) { errors { code } }
    }"""
    properties = tool(text).arguments["properties"]
    assert properties["content"]["description"] == "What is opened."
    input_: Any = core_schema(schema).type_map["StartViewInput"]
    assert properties["collection"]["description"] == input_.fields["collectionId"].description


def test_a_variable_is_described_by_its_own_operation_alone() -> None:
    text = """mutation Enrol($batch: String!) { enrol(input: { collectionId: "c", contextId: $batch }) { errors { code } } }
    mutation Start($batch: String) { startView(input: { contentId: "a", contextId: $batch }) { errors { code } } }"""
    for one, kind in zip(tools_of(schema, trusted(text)), ("EnrolInput", "StartViewInput"), strict=True):
        input_: Any = core_schema(schema).type_map[kind]
        assert one.arguments["properties"]["batch"]["description"] == input_.fields["contextId"].description


def test_what_a_document_says_hides_nothing_in_control_characters() -> None:
    """A manifest comes out of a build; models read what people don't see."""
    commented = tool("# Who I am.\u202e\x1b[2K\nquery Me { me { userId } }")
    assert commented.description == "Who I am.  [2K"
    described = tool(
        '"Reads\\u202e\\u0007 one.\\nAnd no more."\n'
        'query One("\\u202eWhich." $id: String!) { collection(identifier: $id) { name } }'
    )
    assert described.description == "Reads   one.\nAnd no more."
    assert described.arguments["properties"]["id"]["description"] == "Which."


def test_a_mutation_is_asked_why_it_was_refused_though_its_document_does_not_ask() -> None:
    place = 'input: { collectionId: "c", contextId: "b" }'
    refusals = "errors { code message field }"
    for selected in ("enrolment { status }", "problems: errors { code }", "errors { code }"):
        asked = " ".join(tool(f"mutation {{ enrol({place}) {{ {selected} }} }}").text.split())
        assert asked.endswith(f"{selected} {refusals} }} }}")
    for left in (refusals, "errors: enrolment { status }"):
        found = tool(f"mutation {{ enrol({place}) {{ {left} }} }}")
        assert found.text == found.document.text


def test_queries_read_and_mutations_say_what_they_may_do() -> None:
    def hints(text: str) -> tuple[bool, bool, bool]:
        found = tool(text)
        return found.reads, found.destructive, found.repeatable

    start = 'startView(input: { contentId: "a" }) { errors { code } }'
    erase = 'eraseLearner(input: { userId: "ann" }) { errors { code } }'
    create = 'createGroup(input: { name: "G" }) { errors { code } }'
    update = 'updateGroup(input: { groupId: "g" }) { errors { code } }'
    assert hints("{ me { userId } }") == (True, False, True)
    assert hints(f"mutation {{ {start} }}") == (False, False, True)
    assert hints(f"mutation {{ {erase} }}") == (False, True, True)
    assert hints(f"mutation {{ {create} }}") == (False, False, False)
    assert hints(f"mutation {{ {update} }}") == (False, True, False)
    assert hints(f"mutation {{ {start} {erase} }}") == (False, True, True), "as the worst of them"
    assert hints(f"mutation {{ ...all }} fragment all on Mutation {{ {erase} {create} }}") == (
        False,
        True,
        False,
    )


def test_what_is_said_of_mutations_is_said_of_some_that_there_are() -> None:
    mutation = core_schema(schema).mutation_type
    assert mutation is not None
    assert mutation.fields.keys() >= ADDITIVE | REPEATABLE


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.graphql")), ids=lambda path: path.stem)
def test_every_ready_query_makes_tools_whose_schemas_hold(path: Any) -> None:
    for one in tools_of(schema, trusted(path.read_text())):
        Draft202012Validator.check_schema(one.arguments)
        Draft202012Validator.check_schema(one.answer)
        assert one.answer["required"] == ["data", "asOf", "complete"]
        assert not schema.known(one.text).errors


def test_the_tool_of_the_documentation_is_as_it_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()
    (text,) = re.findall(r"```graphql\n(.*?)```", page, re.DOTALL)
    found = tool(text)
    assert found.name == "LearnerInCourse"
    assert f'"name": "{found.name}"' in page
    assert found.description.startswith("How far a learner is in a course.")
    assert found.arguments["required"] == ["learner", "course"]
    assert found.arguments["properties"]["learner"]["description"] == "The user id of the learner."
    (result,) = re.findall(r"```json\n(\{\"data\".*?)```", page, re.DOTALL)
    assert Draft202012Validator(found.answer).is_valid(json.loads(result))


def test_figures_are_asked_as_of_when_they_are_wherever_they_stand() -> None:
    text = """query F($id: ID!) {
      totals: activityMetrics(query: { activityIds: ["course"], metrics: [ENROLLED_COUNT] }) { rows ...table }
      node(id: $id) { __typename ... on GroupActivity { source } }
      me { userId }
    }
    fragment table on MetricTable { columns { name } asOf }"""
    found = tool(text)
    assert found.told.figures == {("totals",), ("node",)}
    assert found.document.text == text, "it is known by what the client wrote"
    again = tool('{ activeLearners(query: { from: "2026-01-01", to: "2026-01-02" }) { asOf complete rows } }')
    assert again.text == again.document.text, "nothing is asked twice"


def test_a_document_that_calls_something_else_so_is_left_as_it_is() -> None:
    query = 'query: { activityIds: ["course"], metrics: [ENROLLED_COUNT] }'
    found = tool(f"{{ activityMetrics({query}) {{ asOf: source rows }} }}")
    assert found.text == found.document.text
    assert found.told.figures == set()
