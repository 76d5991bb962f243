"""The image pool and the schedules: behaviour, and exact resuming."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from MedColorizeLib.methods.pool import ImagePool
from MedColorizeLib.methods.schedules import make_schedule


def numbered(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def number(images: Tensor) -> list[int]:
    return [int(each) for each in images[:, 0, 0, 0]]


class TestPool:
    def test_gives_back_what_it_is_asked_until_it_is_full(self) -> None:
        pool = ImagePool(3, seed=0)
        assert [number(pool.query(numbered(n)))[0] for n in range(3)] == [0, 1, 2]
        assert len(pool) == 3

    def test_size_zero_keeps_nothing(self) -> None:
        pool = ImagePool(0, seed=0)
        assert number(pool.query(numbered(1, 2))) == [1, 2]
        assert len(pool) == 0

    def test_half_are_older_once_full(self) -> None:
        pool = ImagePool(50, seed=1)
        asked = [number(pool.query(numbered(n)))[0] for n in range(2050)]
        older = [n != got for n, got in enumerate(asked)][50:]
        assert sum(older) / len(older) == pytest.approx(0.5, abs=0.04)

    def test_every_image_comes_back_at_most_once_more(self) -> None:
        """A swapped-out image leaves the pool, so none is shown three times."""
        pool = ImagePool(5, seed=2)
        asked = [number(pool.query(numbered(n)))[0] for n in range(300)]
        assert max(asked.count(n) for n in set(asked)) <= 2

    def test_images_are_detached_copies(self) -> None:
        pool = ImagePool(1, seed=0)
        image = numbered(1).requires_grad_()
        assert not pool.query(image).requires_grad
        with torch.no_grad():
            image.fill_(9)
        later = {number(pool.query(numbered(2)))[0] for _ in range(20)}
        assert 9 not in later
        assert 1 in later

    @given(st.integers(0, 6), st.integers(0, 12), st.integers(0, 12), st.integers(0, 1000))
    @settings(max_examples=40, deadline=None)
    def test_resumes_exactly(self, size: int, before: int, after: int, seed: int) -> None:
        whole, first = ImagePool(size, seed), ImagePool(size, seed)
        for n in range(before):
            whole.query(numbered(n))
            first.query(numbered(n))
        second = ImagePool(size, seed + 1)
        second.load_state(first.state())
        for n in range(before, before + after):
            assert torch.equal(whole.query(numbered(n)), second.query(numbered(n)))

    def test_a_change_of_size_is_survived(self) -> None:
        pool = ImagePool(2, seed=0)
        pool.query(numbered(1, 2))
        for _ in range(10):
            assert pool.query(torch.zeros(1, 1, 4, 4)).shape == (1, 1, 4, 4)


class TestSchedules:
    @staticmethod
    def rates(kind: str, total: int) -> list[float]:
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.Adam([parameter], lr=1.0)
        schedule = make_schedule(kind, optimizer, total)  # type: ignore[arg-type]
        rates = []
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return [*rates, optimizer.param_groups[0]["lr"]]

    def test_linear(self) -> None:
        assert self.rates("linear", 8) == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])

    def test_cosine(self) -> None:
        rates = self.rates("cosine", 10)
        assert rates[0] == 1
        assert rates[5] == pytest.approx(0.5)
        assert rates[-1] == pytest.approx(0, abs=1e-9)

    def test_multistep(self) -> None:
        assert self.rates("multistep", 8) == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])

    def test_constant(self) -> None:
        assert set(self.rates("constant", 5)) == {1.0}

    @pytest.mark.parametrize("kind", ["constant", "linear", "cosine", "multistep"])
    @pytest.mark.parametrize("total", [1, 2, 3])
    def test_short_runs(self, kind: str, total: int) -> None:
        rates = self.rates(kind, total)
        assert rates[0] == 1
        assert all(0 <= rate <= 1 for rate in rates)
