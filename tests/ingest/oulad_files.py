"""Small datasets of the project's own, in the shape of OULAD."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb

HEADERS = {
    "courses.csv": "code_module,code_presentation,module_presentation_length",
    "vle.csv": "id_site,code_module,code_presentation,activity_type,week_from,week_to",
    "studentInfo.csv": "code_module,code_presentation,id_student,gender,region,highest_education,imd_band,age_band,"
    "num_of_prev_attempts,studied_credits,disability,final_result",
    "studentRegistration.csv": "code_module,code_presentation,id_student,date_registration,date_unregistration",
    "studentVle.csv": "code_module,code_presentation,id_student,id_site,date,sum_click",
}
OPTIONAL_HEADERS = {
    "assessments.csv": "code_module,code_presentation,id_assessment,assessment_type,date,weight",
    "studentAssessment.csv": "id_assessment,id_student,date_submitted,is_banked,score",
}
SMALL = {
    "courses.csv": ["AAA,2013J,268", "BBB,2014B,234"],
    "vle.csv": [
        "4,AAA,2013J,resource,,",
        "2,AAA,2013J,oucontent,3,3",
        "3,AAA,2013J,oucontent,3,5",
        "1,AAA,2013J,resource,,",
        "5,AAA,2013J,quiz,1,",
        "10,BBB,2014B,homepage,?,?",
        "11,BBB,2014B,url,,",
    ],
    "studentInfo.csv": [
        "AAA,2013J,100,F,Scotland,A Level,20-30%,0-35,0,60,N,Pass",
        "BBB,2014B,100,F,Wales,HE Qualification,30-40%,35-55,0,60,N,Pass",
        "AAA,2013J,101,M,Wales,A Level,,0-35,0,60,N,Withdrawn",
        "BBB,2014B,102,M,Ireland,A Level,?,55<=,0,60,Y,Fail",
    ],
    "studentRegistration.csv": [
        "AAA,2013J,100,-30,",
        "BBB,2014B,100,,",
        "AAA,2013J,101,5,3",
        "BBB,2014B,102,-5,12",
    ],
    "studentVle.csv": [
        "AAA,2013J,100,1,3,4",
        "AAA,2013J,100,1,-10,1",
        "AAA,2013J,100,1,-10,2",
        "AAA,2013J,100,5,0,1",
        "BBB,2014B,100,10,1,7",
        "BBB,2014B,102,11,20,1",
    ],
}
"""100 is in both courses; 101 left before the day of the registration; 102 viewed after leaving."""

ASSESSED = {
    "assessments.csv": [
        "AAA,2013J,1752,TMA,19,12.5",
        "AAA,2013J,1753,CMA,,0",
        "AAA,2013J,1751,Exam,?,100",
        "BBB,2014B,1800,TMA,12,30",
    ],
    "studentAssessment.csv": [
        "1752,100,18,0,78",
        "1753,100,-1,1,39",
        "1751,100,300,0,55",
        "1752,101,20,0,?",
        "1800,100,10,0,40",
        "1800,102,11,0,",
    ],
}
"""100 did all three of AAA 2013J, the second before, and handed in the third after the end; two have no score."""


def write(directory: Path, files: Mapping[str, list[str]] = SMALL, *, quoted: bool = False) -> Path:
    for name, rows in files.items():
        lines = [{**HEADERS, **OPTIONAL_HEADERS}[name], *rows]
        if quoted:
            lines = [",".join(f'"{field}"' for field in line.split(",")) for line in lines]
        (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory


def part_of(published: Path, directory: Path, every: int) -> Path:
    """One presentation whole, AAA 2013J, which alone has views, and of the others each student in so many."""
    headers = HEADERS | {
        name: header for name, header in OPTIONAL_HEADERS.items() if (published / name).exists()
    }
    rows = {name: list(csv.DictReader((published / name).read_text().splitlines())) for name in headers}
    whole = {row["id_student"] for row in rows["studentInfo.csv"] if is_course(row)}
    files = {}
    for name, header in headers.items():
        kept = [
            row
            for row in rows[name]
            if "id_student" not in row or row["id_student"] in whole or int(row["id_student"]) % every == 0
        ]
        files[name] = [",".join(row[column] for column in header.split(",")) for row in kept]
    return write(directory, files)


def is_course(row: Mapping[str, str]) -> bool:
    return (row["code_module"], row["code_presentation"]) == ("AAA", "2013J")


def generated(students: int = 60) -> dict[str, list[str]]:
    """As the published part: AAA 2013J has 211 sites and all the views, another course has none.

    Week 9 has two sites that many look at, so that some units are completed. Some moved between the presentations.
    """

    def number(*parts: object) -> int:
        return crc32("/".join(map(str, parts)).encode())

    types = ["resource", "oucontent", "forumng", "url", "quiz"]
    regions = ["Scotland", "Wales", "London Region", "South Region"]
    educations = ["A Level or Equivalent", "HE Qualification", "No Formal quals"]
    sites = range(546_000, 546_211)
    files: dict[str, list[str]] = {"courses.csv": ["AAA,2013J,268", "BBB,2014J,262"]}
    files["vle.csv"] = [
        f"{site},AAA,2013J,{types[number(site) % 5]},{week},{week}"
        for site in sites
        for week in [9 if site < sites[2] else "" if number(site, "week") % 4 else number(site) % 9]
    ]
    files["vle.csv"] += [f"{site},BBB,2014J,resource,," for site in range(10)]
    files["assessments.csv"] = [
        *(
            f"AAA,2013J,{number},{kind},{20 * number},{25 * number}"
            for number, kind in ((1, "TMA"), (2, "CMA"))
        ),
        "BBB,2014J,3,Exam,,100",
    ]
    people, registrations, views, submissions = [], [], [], []
    for student in range(1, students + 1):
        gender, education = "FM"[number(student, "gender") % 2], educations[number(student, "education") % 3]
        info = f"{education},{number(student) % 9}0-90%,0-35,0,60,N,Pass"
        left = number(student, "left") % 40 if number(student) % 5 == 0 else ""
        people.append(f"AAA,2013J,{student},{gender},{regions[number(student) % 4]},{info}")
        registrations.append(f"AAA,2013J,{student},{-(number(student) % 200)},{left}")
        if number(student) % 3 == 0:
            people.append(f"BBB,2014J,{student},{gender},{regions[number(student, 'moved') % 4]},{info}")
            registrations.append(f"BBB,2014J,{student},,")
        for assessment in (1, 2) if number(student, "tries") % 4 else ():
            points = number(student, assessment) % 101 if number(assessment, student) % 9 else "?"
            submissions.append(f"{assessment},{student},{number(student, 'day') % 300},0,{points}")
        seen = number(student, "seen") % 40
        for turn in range(seen * 2):
            site = sites[number(student, turn) % (10 if turn % 2 else 211)]
            views.append(f"AAA,2013J,{student},{site},{number(turn, student) % 60 - 25},{1 + turn % 4}")
    return files | {
        "studentInfo.csv": people,
        "studentRegistration.csv": registrations,
        "studentVle.csv": views,
        "studentAssessment.csv": submissions,
    }


class Files:
    """The files as tables, every field as it is written there."""

    def __init__(self, directory: Path) -> None:
        self._connection = duckdb.connect()
        names = {
            "courses": "courses",
            "sites": "vle",
            "students": "studentInfo",
            "registrations": "studentRegistration",
            "views": "studentVle",
            "assessments": "assessments",
            "submissions": "studentAssessment",
        }
        for table, name in names.items():
            path = directory / f"{name}.csv"
            if path.exists():
                self.run(
                    f"create table {table} as select * from read_csv("
                    f"'{path}', header = true, nullstr = ['', '?'], all_varchar = true)"
                )
            else:
                columns = OPTIONAL_HEADERS[path.name].split(",")
                self.run(f"create table {table} ({', '.join(f'{column} varchar' for column in columns)})")
        self.has_submissions = (directory / "studentAssessment.csv").exists()
        self.run("""
            create table profiles as
            select id_student, gender, region, highest_education as education from students
            qualify row_number() over (
                partition by id_student order by code_presentation desc, code_module desc
            ) = 1
        """)

    def run(self, sql: str) -> None:
        self._connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.sql(sql).fetchall()

    def query(self, sql: str) -> dict[Any, Any]:
        """Of two columns: the second by the first."""
        return dict(self.rows(sql))
