"""Examples in the OpenAPI document: ids of the sample, so that a call that is tried on `cohort dev` finds something."""

from gateway.rest.framework.envelope import Json

IDS = {
    "activityId": "sky",
    "assessmentId": "sky-quiz",
    "batchId": "sky-open",
    "collectionId": "sky",
    "contentId": "sky-mars",
    "contextId": "sky-open",
    "courseId": "sky",
    "groupId": "evening-class",
    "group_id": "evening-class",
    "userId": "ada",
    "user_id": "ada",
}
"""By the name of a parameter or a field. The tests hold them against the sample."""


def with_example(name: str, schema: Json) -> Json:
    """The schema of a field of this name, with an example where it is a text whose values are known."""
    if name not in IDS or "enum" in schema or "const" in schema:
        return schema
    kinds = [one.get("type") for one in schema.get("anyOf", [schema])]
    return {**schema, "examples": [IDS[name]]} if "string" in kinds else schema
