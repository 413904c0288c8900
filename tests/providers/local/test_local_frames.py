from collections.abc import Sequence

import pytest

from duologue.errors import ConfigurationError
from duologue.providers.local.frames import Frames, Render, Said, probe


def chatml(messages: Sequence[Said], *, reply: bool = False, hidden: str = "") -> str:
    text = "".join(f"<|im_start|>{role}\n{words}<|im_end|>\n" for role, words in messages)
    if hidden and messages[0][0] != "system":
        text = f"<|im_start|>system\n{hidden}<|im_end|>\n{text}"
    return text + ("<|im_start|>assistant\n" if reply else "")


def template(render: object, *, refuses: tuple[str, ...] = ()) -> Render:
    async def run(messages: Sequence[Said], *, reply: bool = False) -> str:
        for role, _ in messages:
            if role in refuses:
                raise ConfigurationError(f"no {role} here")
        assert callable(render)
        return str(render(messages, reply=reply))

    return run


async def read(render: object, *, bos: str = "", refuses: tuple[str, ...] = ()) -> Frames:
    return await probe(template(render, refuses=refuses), bos=bos, stop=("<eos>",))


async def test_chatml_is_read_as_frames() -> None:
    assert await read(chatml) == Frames(
        system=("<|im_start|>system\n", "<|im_end|>\n"),
        user=("<|im_start|>user\n", "<|im_end|>\n"),
        assistant=("<|im_start|>assistant\n", "<|im_end|>\n"),
        default_system=None,
        stop=("<eos>",),
    )


async def test_a_hidden_system_prompt_is_recorded_and_not_made_part_of_a_frame() -> None:
    def hiding(messages: Sequence[Said], *, reply: bool) -> str:
        return chatml(messages, reply=reply, hidden="You are helpful.")

    frames = await read(hiding)
    assert frames.default_system == "You are helpful."
    assert frames.user == ("<|im_start|>user\n", "<|im_end|>\n")
    assert frames.render([("user", "hi")], reply=True) == chatml([("user", "hi")], reply=True)


async def test_a_hidden_text_that_is_no_system_message_is_recorded_whole() -> None:
    def hiding(messages: Sequence[Said], *, reply: bool) -> str:
        system = messages[0][0] == "system"
        return ("" if system else "Be good.\n") + chatml(messages, reply=reply)

    assert (await read(hiding)).default_system == "Be good.\n"


@pytest.mark.parametrize("written", [True, False])
async def test_the_first_token_is_no_part_of_a_frame_whether_or_not_the_template_writes_it(
    written: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    def llama(messages: Sequence[Said], *, reply: bool) -> str:
        text = "".join(f"<|h|>{role}<|/h|>\n\n{words}<|eot|>" for role, words in messages)
        return ("<s>" if written else "") + text + ("<|h|>assistant<|/h|>\n\n" if reply else "")

    frames = await read(llama, bos="<s>")
    assert frames.system == ("<|h|>system<|/h|>\n\n", "<|eot|>")
    assert frames.render([("user", "a")], reply=False) == "<|h|>user<|/h|>\n\na<|eot|>"


def gemma(messages: Sequence[Said], *, reply: bool) -> str:
    system = [words for role, words in messages if role == "system"]
    text, start = "", "".join(f"{words}\n\n" for words in system)
    for role, words in messages:
        if role != "system":
            name = "model" if role == "assistant" else role
            text, start = f"{text}<turn>{name}\n{start}{words}<end>\n", ""
    return text + ("<turn>model\n" if reply else "")


async def test_a_template_that_writes_the_system_prompt_into_a_message_has_no_system_frame() -> (
    None
):
    frames = await read(gemma)
    assert frames.system is None
    assert frames.assistant == ("<turn>model\n", "<end>\n")


async def test_a_template_that_refuses_a_system_prompt_has_no_system_frame() -> None:
    assert (await read(chatml, refuses=("system",))).system is None


def thinking(messages: Sequence[Said], *, reply: bool) -> str:
    return chatml(messages, reply=reply) + ("<think>\n" if reply else "")


def forgetful(messages: Sequence[Said], *, reply: bool) -> str:
    return chatml(messages[-3:], reply=reply)


def counting(messages: Sequence[Said], *, reply: bool) -> str:
    turns = [(role, f"{n}. {words}") for n, (role, words) in enumerate(messages)]
    return chatml(turns, reply=reply)


def doubling(messages: Sequence[Said], *, reply: bool) -> str:
    return chatml([(role, words * 2) for role, words in messages], reply=reply)


def rewriting(messages: Sequence[Said], *, reply: bool) -> str:
    return chatml(messages, reply=reply).replace("<|im_end|>", "" if reply else "<|im_end|>")


def closing_only_the_last(messages: Sequence[Said], *, reply: bool) -> str:
    text = "".join(f"[{role}]{words}" for role, words in messages)
    return text + ("[assistant]" if reply else "[end]")


@pytest.mark.parametrize(
    "render", [thinking, forgetful, counting, doubling, rewriting, closing_only_the_last]
)
async def test_a_template_that_does_not_keep_to_frames_is_refused_with_the_way_out(
    render: object,
) -> None:
    with pytest.raises(ConfigurationError, match=r'turn by turn: .+framing = "script"'):
        await read(render)
