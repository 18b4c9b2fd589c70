"""The printed lines and the memory that a worker reports."""

from loadgen.worker.main import MAX_LINES, CapturedOutput, ResidentMemory


def test_lines_come_out_once_and_whole():
    printed = CapturedOutput()
    print("one", 1, file=printed)
    print("two\n\nthree", end="", file=printed)

    assert printed.take() == ("printed: one 1", "printed: two")
    print(" ends here", file=printed, flush=True)
    assert printed.take() == ("printed: three ends here",)
    assert printed.take() == ()


def test_lines_after_the_last_that_is_reported_are_dropped():
    printed = CapturedOutput()
    for number in range(10_000):
        print(number, "x" * 1000, file=printed)

    *lines, last = printed.take()
    assert len(lines) == MAX_LINES
    assert max(map(len, lines)) < 600
    assert last == "printed 100 lines; what it prints from now on is dropped"
    print("more", file=printed)
    assert printed.take() == ()


def test_a_line_without_an_end_takes_no_memory():
    printed = CapturedOutput()
    for _ in range(1000):
        printed.write("x" * 1000)

    printed.write("\n")
    assert len(printed.take()[0]) < 600


def test_resident_memory_grows_with_what_the_process_holds():
    memory = ResidentMemory()
    before = memory.bytes()
    held = bytearray(b"x" * (64 << 20))

    assert memory.bytes() - before > len(held) // 2
