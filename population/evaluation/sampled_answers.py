"""Several samples of a model's answer to a question, and what they are worth together."""

from collections.abc import Sequence
from dataclasses import dataclass

from arena.tasks.sampling import Sampling
from population.evaluation.batching import Question
from population.evaluation.greedy_decoding import DecodingRequest
from population.evaluation.prompt_tokenizer import PromptTokenizer
from population.evaluation.questions import QuestionBuilder
from population.randomness import generator


@dataclass(frozen=True)
class SampledAnswers:
    """The samples of the answers to some questions.

    Samples are numbered, and a number draws the same for all models: what tells two models apart is
    then less of the luck of their draws (common random numbers).

    Attributes:
        questions: with a sampling each.
        builder: says how long answers are and what they are worth.
    """

    questions: Sequence[Question]
    builder: QuestionBuilder

    @property
    def _samplings(self) -> list[tuple[Question, Sampling]]:
        return [(q, q.sampling) for q in self.questions if q.sampling is not None]

    @property
    def further(self) -> int:
        """Item evaluations beyond the one that each question counts anyhow."""
        return sum(sampling.samples - 1 for _, sampling in self._samplings)

    @property
    def requests(self) -> list[DecodingRequest]:
        """What is to be decoded: the samples of the first question, of the second, and so on."""
        return [
            self._request(question, sampling, number)
            for question, sampling in self._samplings
            for number in range(sampling.samples)
        ]

    def _request(self, question: Question, sampling: Sampling, number: int) -> DecodingRequest:
        item, tokenizer = question.item, self.builder.tokenizer
        limit = self.builder.prompt_of(item)[1]
        return DecodingRequest(
            question.prompt,
            limit,
            tokenizer.stop_texts(item),
            ends=tokenizer.end_ids(item),
            temperature=sampling.temperature,
            draws=tuple(generator(0, "sample", item.id, number).random(limit).tolist()),
        )

    def worths(self, decoded: Sequence[Sequence[int]]) -> list[float]:
        """What the samples of each question are worth together, in [0, 1].

        Args:
            decoded: the tokens of each request.
        """
        tokenizer: PromptTokenizer = self.builder.tokenizer
        rest = iter(decoded)
        worths = []
        for question, sampling in self._samplings:
            limit = self.builder.prompt_of(question.item)[1]
            texts = [
                tokenizer.decode_answer(question.item, list(next(rest)[:limit]), question.prompt)[0]
                for _ in range(sampling.samples)
            ]
            worths.append(sampling.worth([self.builder.score_of(question, text) for text in texts]))
        return worths
