"""How small a group of learners may be that figures are told of."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from rules.privacy import PROFILES, Privacy


def _cohort(least: int) -> int:
    if least == 2:
        raise ValueError(
            "must be 1, which is no limit, or 3 or more: two learners who are withheld together show each other"
        )
    return least


Cohort = Annotated[int, Field(ge=1), AfterValidator(_cohort)]


class PrivacySettings(BaseModel):
    """How small a group of learners may be that figures are told of."""

    privacy_profile: Literal["none", "threshold", "nces", "hesa"] = Field(
        default="threshold",
        description="The rule that figures by attributes of learners follow for callers who may not see every learner "
        "(docs/operations.md); `none`: they see no such figures",
    )
    least_cohort: Cohort | None = Field(
        default=None,
        description="Learners that such a figure is of, at least; the profile's number without it: 5, of `nces` 10",
    )
    least_cohort_all: Cohort = Field(
        default=1, description="The same for callers who may see every learner; 1 for exact figures"
    )

    @property
    def privacy(self) -> Privacy:
        """The profile, and its number where none is set."""
        profile = PROFILES[self.privacy_profile]
        return Privacy(profile, self.least_cohort or profile.least, self.least_cohort_all)
