"""A learner's enrolments as a file, asked for through the schema."""

from ingest.commands.enrolments import EnrolmentCall, enrol
from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import data, view_to_end

DOWNLOAD = """
mutation Download($input: DownloadSummaryInput!) {
  downloadSummary(input: $input) {
    download { url format size rows expiresOn }
    errors { code field message }
  }
}
"""


async def test_a_learner_gets_a_link_to_a_file_of_their_enrolments(published: Instance) -> None:
    await enrol(published.session("ada"), EnrolmentCall("course", "batch"))
    await view_to_end(published, "ada", "a", collectionId="course", contextId="batch")
    answer = await data(published.session("ada"), DOWNLOAD, input={"format": "CSV"})
    payload = answer["downloadSummary"]
    assert payload["errors"] == []
    download = payload["download"]
    assert download["url"].startswith("/blobs/exports/")
    assert (download["format"], download["rows"]) == ("CSV", 1)
    assert download["expiresOn"] == "2026-03-01T13:00:00.000Z"
    (blob,) = [blob async for blob in published.stores.blobs.below("exports")]
    assert (blob.name.rpartition("/")[2], blob.size) == ("summary.csv", download["size"])
    line = b"".join([chunk async for chunk in published.stores.blobs.get(blob.name)]).split(b"\r\n")[1]
    assert line.startswith(b"course,batch,1,33,1,")


async def test_json_is_what_is_written_unless_told(published: Instance) -> None:
    answer = await data(published.session("ada"), DOWNLOAD, input={})
    assert answer["downloadSummary"]["download"]["format"] == "JSON"


async def test_the_file_of_another_is_for_who_answers_for_learners(published: Instance) -> None:
    asked = {"userId": "ada"}
    refused = (await data(published.session("eve"), DOWNLOAD, input=asked))["downloadSummary"]
    assert refused["download"] is None
    assert [(error["code"], error["field"]) for error in refused["errors"]] == [("FORBIDDEN", "userId")]
    mentor = (await data(published.session("mia", Role.MENTOR), DOWNLOAD, input=asked))["downloadSummary"]
    assert mentor["download"] is not None
