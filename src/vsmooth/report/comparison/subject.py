"""The subject of a comparison, labels or teachers, and the texts that depend on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vsmooth.records.comparison import Comparison
from vsmooth.report.comparison import distillation, findings
from vsmooth.report.comparison.findings import Claim
from vsmooth.report.comparison.metrics import ROBUST, TEACHER, Metric


@dataclass(frozen=True)
class Subject:
    """The words of one kind of comparison.

    title, about: of the page. row: what a row of its tables is. findings, claims: what is said of the results, and the
    paper's claims checked on them. further: metrics beside those of every comparison, which `glossary` explains.
    """

    title: str
    about: str
    row: str
    findings: Callable[[Comparison], tuple[str, ...]]
    claims: Callable[[Comparison], tuple[Claim, ...]]
    further: tuple[Metric, ...] = ()
    glossary: str = ""


LABELS = Subject(
    "Does virtual smoothing help here?",
    "The same network was trained several times on the same images; only the training labels differ. "
    "One-hot labels ask for full confidence in the right class; label smoothing (LS) hands a share "
    "alpha to the other classes; virtual smoothing (VS) hands it to extra classes that exist only "
    "during training. The question is which network is right more often (accuracy) and whose stated "
    "confidence can be trusted (calibration).",
    "Label",
    findings.findings,
    findings.claims,
)
ROBUST_TITLE = "Does virtual smoothing help adversarial training here?"
ROBUST_ABOUT = (
    " They were trained on adversarial images, so the second question is how many test images each network still gets "
    "right under attack."
)
ROBUST_GLOSSARY = (
    " Accuracy under PGD: on the first test images, with the attack that watched the training (the K real logits, a "
    "random start). It is an upper bound: `vsmooth attack` gives the worst case over stronger attacks. Last and best: "
    "the weights of the last epoch, and of the epoch that stood PGD best on held-out images."
)
TEACHERS = Subject(
    "Which teacher teaches best?",
    "The same network, the student, was trained several times on the same images: without a teacher, and with each of "
    "several teachers, whose outputs it learns to imitate (knowledge distillation). The teachers differ in the labels "
    "they were trained with themselves: one-hot; label smoothing (LS), which hands a share alpha of the confidence to "
    "the other classes; virtual smoothing (VS), which hands it to classes that exist only during training. The "
    "question is whose student is right more often.",
    "Student",
    distillation.findings,
    distillation.claims,
    TEACHER,
    " Agreement: share of test images where student and teacher predict the same class. KL(teacher ‖ student): mean "
    "divergence of their probabilities on the test images, in nats; 0 for a perfect imitation.",
)


def subject_of(comparison: Comparison) -> Subject:
    """Teachers, where a student had one; else labels; with columns of robustness where networks were attacked."""
    found = TEACHERS if any(group.variant.teacher is not None for group in comparison.groups) else LABELS
    if not comparison.attacked:
        return found
    title = ROBUST_TITLE if found is LABELS else found.title
    about, glossary = found.about + ROBUST_ABOUT, found.glossary + ROBUST_GLOSSARY
    return replace(found, title=title, about=about, further=(*ROBUST, *found.further), glossary=glossary)
