"""Every word of the page, in English and Chinese. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

LANGUAGES = ("en", "zh")

_TABLE = """
title | Edge: what waits | 边缘网关：待传状态
hub_online | The hub is reachable. | 中心可达。
hub_away | The hub has been away since {since}. | 自 {since} 起无法连接中心。
hub_unknown | Nothing has been sent yet. | 尚未发送任何数据。
next_try | Next try in {seconds} s. | {seconds} 秒后重试。
next_now | Trying now. | 正在重试。
waiting | Waiting | 等待
held | Needs a person | 需要人工处理
sent | Sent and confirmed | 已发送并确认
disk | Disk | 磁盘
days | {days} days left | 还可用 {days} 天
free | {size} free | 剩余 {size}
full | The disk is full: images are refused until there is room. | 磁盘已满：腾出空间之前拒收影像。
nothing | Nothing waits. | 没有等待的数据。
oldest | Oldest: {since} | 最早：{since}
studies | Studies since the last start | 本次启动以来的检查
patient | Patient | 患者
accession | Accession | 检查号
description | Study | 检查
modality | Modality | 设备
received | Received | 接收
progress | At the hub | 已到中心
items | What goes next | 接下来发送
why | Why it waits | 等待原因
size | Size | 大小
priority | Priority | 优先级
stat | stat | 急诊
urgent | urgent | 加急
routine | routine | 常规
prior | prior | 既往
notice | notice | 通知
why_to_sign | being signed | 正在签名
why_in_line | in line: more urgent or earlier images go first | 排队：更急或更早的先发
why_sending | on the line now | 正在传输
why_receipt | at the hub; its receipt is awaited | 已到中心，等待回执
why_paused | pause, next try {next}: {words} | 暂停，{next}后重试：{words}
why_away | hub away since {since}, next try {next}: {words} | 自 {since} 起中心不可达，{next}后重试：{words}
why_person | held: {words} | 已搁置：{words}
why_done | done | 完成
release | Try again | 重试
rate | The line carries {rate} Mbit/s. | 当前速率 {rate} Mbit/s。
all_there | Everything will be at the hub in about {time}. | 约 {time}后全部到达中心。
about | about {time} | 约 {time}
config_fault | The changed configuration is faulty: {words} | 新配置有误，仍用旧配置：{words}
updated | State of {now} | 截至 {now}
other | 中文 | English
count | {items} parcels, {instances} images, {size} | {items} 个包，{instances} 幅影像，{size}
"""

WORDS: Mapping[str, Mapping[str, str]] = {
    key: {"en": english, "zh": chinese}
    for key, english, chinese in (
        tuple(part.strip() for part in line.split(" | ")) for line in _TABLE.strip().splitlines()
    )
}
"""Key → language → text."""


def choose(accept_language: str, asked: str = "") -> str:
    """The language to show: the one asked for, else the browser's preference (RFC 9110 §12.5.4)."""
    if asked in LANGUAGES:
        return asked
    ranked: list[tuple[float, str]] = []
    for part in accept_language.split(","):
        tag, _, parameters = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary in LANGUAGES:
            ranked.append((_quality(parameters), primary))
    return max(ranked, key=lambda pair: pair[0])[1] if ranked else "en"


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def say(language: str, key: str, **values: object) -> str:
    """The text of `key`, with its values put in."""
    return WORDS[key][language].format(**values)


def bytes_text(size: float) -> str:
    """A size for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


_UNITS: tuple[tuple[float, int, str, str], ...] = (
    (90, 1, "s", "秒"),
    (90 * 60, 60, "min", "分钟"),
    (36 * 3600, 3600, "h", "小时"),
    (inf, 86400, "days", "天"),
)


def duration(seconds: float, language: str) -> str:
    """A time for people, such as ``4 min``."""
    _, unit, english, chinese = next(row for row in _UNITS if seconds < row[0])
    return f"{max(1, round(seconds / unit))} {chinese if language == 'zh' else english}"
