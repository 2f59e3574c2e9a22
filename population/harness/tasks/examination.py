"""Documents of a task, encoded and batched once for all models that will be asked about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance

from lineage.records import Floats
from population.evaluation.batching import PreparedItems, TokenSequence
from population.evaluation.evaluator import Evaluator
from population.evaluation.greedy_decoding import DecodingRequest
from population.harness.encoding import encoding_of
from population.harness.tasks.documents import Document

Response = Any
"""Of a model to a request: (log-likelihood, whether it is greedy), a log-likelihood, or a text."""

Verdict = Callable[[Document, Sequence[Response]], tuple[float, float]]
"""What responses to a document are worth, and the probability of what is right."""

Place = tuple[int, int]
"""Number of a document and of a request about it."""


@dataclass(frozen=True)
class DocumentExamination:
    """Documents with what models are asked about them; see `population.evaluation.examinations`.

    Attributes:
        documents: in order.
        kinds: for each document the kind of each request.
        read: texts to be read; several windows of a long one.
        read_for: of which request each of them is.
        continued: prompts to be continued.
        continued_for: of which request each of them is.
        verdict: what responses are worth.
    """

    documents: Sequence[Document]
    kinds: Sequence[Sequence[str]]
    read: PreparedItems
    read_for: Sequence[Place]
    continued: Sequence[DecodingRequest]
    continued_for: Sequence[Place]
    verdict: Verdict

    @classmethod
    def of(
        cls,
        documents: Sequence[Document],
        requests: Sequence[Sequence[Instance]],
        verdict: Verdict,
        evaluator: Evaluator,
    ) -> "DocumentExamination":
        """Prepare requests about documents.

        Raises:
            PopulationError: an answer has no room in the models' context, or is to be sampled.
        """
        encoding = encoding_of(evaluator)
        sequences: list[TokenSequence] = []
        read_for: list[Place] = []
        continued: list[DecodingRequest] = []
        continued_for: list[Place] = []
        for document, own in enumerate(requests):
            for number, request in enumerate(own):
                place = document, number
                if request.request_type == "generate_until":
                    continued.append(encoding.request(*request.args))
                    continued_for.append(place)
                    continue
                rolling = request.request_type == "loglikelihood_rolling"
                pairs = (
                    encoding.windows(*request.args)
                    if rolling
                    else [encoding.fitted(encoding.pair(*request.args))]
                )
                for pair in pairs:
                    sequences.append(TokenSequence(len(sequences), *pair))
                    read_for.append(place)
        kinds = [[request.request_type for request in own] for own in requests]
        read = evaluator.prepare_tokens(sequences)
        return cls(documents, kinds, read, read_for, continued, continued_for, verdict)

    def score(self, evaluator: Evaluator) -> tuple[Floats, Floats]:
        """What a model's responses are worth: two arrays of shape (documents,) in [0, 1].

        One whose logits are not finite has zeros.
        """
        encoding = encoding_of(evaluator)
        answers: list[list[Any]] = [
            [0.0 if kind == "loglikelihood_rolling" else None for kind in own] for own in self.kinds
        ]
        with evaluator.meter.forward(len(self.documents)):
            if self.read_for:
                found = evaluator.read(self.read, counted=0)
                for row, (document, number) in enumerate(self.read_for):
                    likely = float(found.log_likelihood[row])
                    if self.kinds[document][number] == "loglikelihood_rolling":
                        answers[document][number] += likely
                    else:
                        answers[document][number] = likely, bool(found.exact[row])
            if self.continued:
                generated = evaluator.continue_tokens(self.continued, encoding.end_ids, counted=0)
                for request, (document, number), ids in zip(
                    self.continued, self.continued_for, generated, strict=True
                ):
                    answers[document][number] = encoding.answer(ids, request)
        verdicts = [
            self.verdict(document, own)
            for document, own in zip(self.documents, answers, strict=True)
        ]
        exact, probability = np.array(verdicts).T
        return exact, probability
