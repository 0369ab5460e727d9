"""What a call asks for: a pydantic model, and the errors that say what is wrong with a request."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_args

import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails

from gateway.http.nesting import TOO_DEEP, is_too_deep
from gateway.rest.framework.field_names import NOT_KNOWN, FieldNames
from gateway.rest.framework.fields import TIME
from resolvers.nouns import Absent, InvalidInput


def json_object(body: bytes, field: str) -> dict[str, Any]:
    """The JSON object in these bytes. InvalidInput, of this field, unless they are one."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidInput("the body must be JSON", field=field) from None
    if not isinstance(document, dict):
        raise InvalidInput("the body must be a JSON object", field=field)
    if is_too_deep(document, body):
        raise InvalidInput(TOO_DEEP, field=field)
    return document


class RequestModel(BaseModel):
    """What a call asks for, by the platform's names (gateway/rest/framework/field_names.py).

    A field that is null counts as left out, and so does a time that is blank. Unknown fields are ignored, as on the
    platform, whose clients send more than is asked. A body is stricter: an unknown field that may be meant for a known
    one is refused, because without it the call would mean something else.
    """

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore", frozen=True)

    passed_over: ClassVar[frozenset[str]] = frozenset()
    """Ids that the platform's clients send too, and that change nothing."""
    mandatory: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Fields that may not be blank or empty either, each with the platform's sentence for one that is missing."""
    field_names: ClassVar[FieldNames]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        fields = {field.alias or name: field for name, field in cls.model_fields.items()}
        cls.field_names = FieldNames.of(
            fields,
            optional=[name for name, field in fields.items() if not field.is_required()],
            times=[name for name, field in fields.items() if _is_time(field)],
            passed_over=cls.passed_over,
        )

    def names_sent(self) -> Mapping[str, str]:
        """The caller's names by those of the resolvers, where the two differ."""
        return {}

    @model_validator(mode="before")
    @classmethod
    def _as_sent(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, Mapping):
            return values
        given = {name: value for name, value in values.items() if value is not None}
        strict = info.context is not None and info.context["strict"]
        understood = cls.field_names.understood(given, strict=strict)
        if not cls.mandatory:
            return understood
        return {
            name: value for name, value in understood.items() if name not in cls.mandatory or _is_told(value)
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        required = schema.get("required", ())
        for name, value in schema.get("properties", {}).items():
            if name not in required and {"type": "null"} not in value.get("anyOf", ()):
                told = {key: value.pop(key) for key in ("description", "title", "default") if key in value}
                schema["properties"][name] = {**told, "anyOf": [value, {"type": "null"}]}
        return schema


def _is_told(value: object) -> bool:
    return bool(value.strip() if isinstance(value, str) else value)


def _is_time(field: FieldInfo) -> bool:
    """Whether the field's type is a time, or a time or null."""
    kinds = [getattr(kind, "__metadata__", ()) for kind in get_args(field.annotation)]
    return any(TIME in metadata for metadata in (field.metadata, *kinds))


R = TypeVar("R", bound=RequestModel)


def checked(model: type[R], values: object, *, strict: bool = True) -> R:
    """The request as a model. InvalidInput names the first field that is missing or wrong, and says what it must be.

    Where it is not ``strict``, numbers and booleans may be texts, as in a query.
    """
    try:
        return model.model_validate(values, strict=None if strict else False, context={"strict": strict})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = _place(first["loc"])
        kind = Absent if first["type"] == "missing" else InvalidInput
        message = _message(first, place)
        if kind is Absent:
            message = model.mandatory.get(place, message)
        if first["type"] == NOT_KNOWN:
            place = _place((*first["loc"], first["ctx"]["name"]))
            message = f"{place} {first['ctx']['told']}"
        if first["type"] == "extra_forbidden":
            known = ", ".join(field.alias or name for name, field in model.model_fields.items())
            message = f"{place} is not known here; there are {known}"
        raise kind(message, field=place) from None


def _place(loc: Sequence[int | str]) -> str:
    """The place of a field in a request, such as ``contents[0].contentId``."""
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place or "request"


_MUST_BE = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "model_type": "an object",
    "dict_type": "an object",
}


def _message(error: ErrorDetails, place: str) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"{place} is missing"
    if kind in _MUST_BE:
        return f"{place} must be {_MUST_BE[kind]}"
    match kind:
        case "too_long":
            most, given = context["max_length"], context["actual_length"]
            return f"{place} must have at most {most} items, not {given}"
        case "enum" | "literal_error":
            there_is = context["expected"].replace(" or ", ", ").replace("'", "")
            return f"{place} must be one of {there_is}"
        case "greater_than_equal":
            return f"{place} must be at least {context['ge']}"
        case "less_than_equal":
            return f"{place} must be at most {context['le']}"
        case "value_error":
            return f"{place} must be {context['error']}"
    return f"{place} is wrong: {error['msg'].lower()}"
