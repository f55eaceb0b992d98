"""What can wait stands back while much comes in, and only then."""

from edge.spool.traffic import Traffic

CT = 525_000


def after(seconds, rate, size, traffic, now):
    for _ in range(int(seconds * rate)):
        now[0] += 1 / rate
        traffic.note(size)


def test_a_trickle_is_not_busy_and_a_stream_is_until_it_ends():
    now = [100.0]
    traffic = Traffic(lambda: now[0])
    assert not traffic.busy
    after(10, 5, CT, traffic, now)
    assert not traffic.busy
    after(1, 100, CT, traffic, now)
    assert traffic.busy
    now[0] += 2
    assert not traffic.busy


def test_bytes_of_one_large_instance_count_before_it_ends():
    now = [100.0]
    traffic = Traffic(lambda: now[0])
    for _ in range(10):
        now[0] += 0.1
        traffic.note(16 << 20, 0)
    assert traffic.busy


def test_many_small_ones_leave_the_disk_time_and_a_few_large_ones_do_not():
    now = [100.0]
    traffic = Traffic(lambda: now[0])
    assert traffic.narrow
    after(3, 2500, 8_000, traffic, now)
    assert traffic.busy
    assert traffic.narrow
    after(3, 200, CT, traffic, now)
    assert not traffic.narrow
    now[0] += 2
    assert traffic.narrow


def test_what_came_just_now_is_lately_however_little_it_was():
    now = [100.0]
    traffic = Traffic(lambda: now[0])
    assert not traffic.lately
    traffic.note(10)
    assert traffic.lately
    assert not traffic.busy
    now[0] += 2
    assert not traffic.lately
