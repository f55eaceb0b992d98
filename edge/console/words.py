"""Every word of the page, in English and Chinese. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

LANGUAGES = ("en", "zh")

_TABLE = """
title | Edge: what waits | 边缘网关：待传状态
hub_online | The hub is reachable. | 中心可达。
stalled | The hub is there, but nothing has moved since {since}. | 中心在线，但自 {since} 起没有数据传输。
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
studies | Studies that came here | 本机接收的检查
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
why_goes | in line, goes in about {next}: others go first | 排队，约 {next}后发送：其他先发
why_sending | on the line now | 正在传输
why_receipt | at the hub; its receipt is awaited | 已到中心，等待回执
why_shut | held back until the configuration changes: {words} | 已暂缓，直至配置更改：{words}
why_later | held back, goes on in about {next}: {words} | 已暂缓，约 {next}后继续：{words}
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
waits | What waits | 待传状态
pages | Pages | 页面
import | Import | 导入
stand_still | Stop refreshing | 停止自动刷新
go_on | Refresh by itself again | 恢复自动刷新
certificate | Certificate | 证书
until | until {until} | 有效期至 {until}
warnings | Please look at these | 请检查
look_at | What to look at | 检查内容
found | Found | 发现时间
read | Report | 报告
not_yet | not yet | 尚无
report_listed | signed, on its way, {at} | 已签发，传输中，{at}
report_verified | signed and here since {at}, being delivered | 已签发，{at} 收到，正在送达
report_delivered | delivered {at} | {at} 已送达
report_acknowledged | delivered {at} | {at} 已送达
report_refused | refused {at} | {at} 被拒绝
reports | Reports | 报告
report | Report | 报告
state | State | 状态
delivered_to | Delivered to | 已送达
lacking | Still missing | 尚未送达
import_files | Pictures, PDF or DICOM files | 图片、PDF 或 DICOM 文件
files | Files | 文件
files_hint | JPEG, PNG, TIFF, PDF, DICOM; at most {size}. | JPEG、PNG、TIFF、PDF、DICOM；合计不超过 {size}。
patient_hint | For pictures and PDF; DICOM files keep their own. | 图片和 PDF 必填；DICOM 文件保留自身信息。
order | Order | 申请单
patient_name | Name (family^given) | 姓名（姓^名）
patient_id | Patient ID | 患者编号
birth_date | Date of birth | 出生日期
sex | Sex | 性别
sex_ | unknown | 未知
sex_M | male | 男
sex_F | female | 女
sex_O | other | 其他
kind | What it shows | 内容类型
kind_film | a film that was scanned or photographed | 扫描或翻拍的胶片
kind_photo | a photograph of the patient | 患者照片
kind_screen | the screen or output of a device | 设备屏幕或输出
kind_paper | a sheet of paper | 纸质单据
body_part | Body part | 部位
laterality | Side | 侧别
laterality_ | not told | 未指明
laterality_L | left | 左
laterality_R | right | 右
laterality_B | both | 双侧
modality_ | not told | 未指明
modality_CR | CR X-ray | CR X 线
modality_DX | DX X-ray | DX X 线
modality_CT | CT | CT
modality_MR | MR | MR
modality_US | Ultrasound | 超声
modality_XA | Angiography | 血管造影
modality_RF | Fluoroscopy | 透视
modality_MG | Mammography | 乳腺 X 线
modality_NM | Nuclear medicine | 核医学
modality_ES | Endoscopy | 内镜
modality_ECG | ECG | 心电图
modality_OT | other | 其他
body_part_ | not told | 未指明
body_part_CHEST | chest | 胸部
body_part_ABDOMEN | abdomen | 腹部
body_part_HEAD | head | 头部
body_part_NECK | neck | 颈部
body_part_CSPINE | cervical spine | 颈椎
body_part_TSPINE | thoracic spine | 胸椎
body_part_LSPINE | lumbar spine | 腰椎
body_part_PELVIS | pelvis | 骨盆
body_part_HIP | hip | 髋关节
body_part_KNEE | knee | 膝关节
body_part_ANKLE | ankle | 踝关节
body_part_FOOT | foot | 足
body_part_SHOULDER | shoulder | 肩关节
body_part_ELBOW | elbow | 肘关节
body_part_WRIST | wrist | 腕关节
body_part_HAND | hand | 手
body_part_BREAST | breast | 乳腺
body_part_HEART | heart | 心脏
import_now | Import | 导入
import_medium | CD, DVD or USB stick | 光盘或 U 盘
no_medium | None is there. Put one in, then load this page again. | 未发现光盘或 U 盘。插入后请刷新本页。
imports | Imports since the last start | 本次启动以来的导入
started | Started | 开始
from | From | 来源
outcome | Outcome | 结果
import_runs | {done} of {total} files read | 已读取 {done}/{total} 个文件
import_done | done: {kept} kept, {refused} refused | 完成：保存 {kept} 幅影像，拒绝 {refused} 个文件
import_broken | ended early: {kept} images kept | 提前结束：已保存 {kept} 幅影像
import_fault | Ended early, may be tried again: {words} | 提前结束，可再次导入：{words}
import_more | Back to importing | 返回导入
progress_label | Files read | 已读取文件
problems | Not taken, or flawed | 未导入或有缺陷
skipped | {count} other files were left out. | 已略过 {count} 个其他文件。
form_fault | Please correct: {words} | 请更正：{words}
fault_needed | Name and patient ID are needed for pictures and PDF. | 图片和 PDF 须填写姓名和患者编号。
fault_files | No file was chosen. | 未选择文件。
fault_length | {field}: at most {length} characters. | {field}：最多 {length} 字。
fault_letters | {field}: no backslash and no control characters. | {field}：不得含反斜杠或控制字符。
fault_value | {field}: not a value that is possible here. | {field}：取值无效。
fault_study | The chosen study is not known here now: choose again. | 所选检查已不可用，请重新选择。
fault_other | {field}: not that of the chosen study. Take a new one. | {field}与所选检查不一致，请选新检查。
too_large | more than {limit} MB at once | 一次超过 {limit} MB
passcode | Pass-code | 口令
passcode_wrong | That was not the pass-code. | 口令错误。
log_in | Enter | 进入
messages | Messages | 消息
messages_title | Messages with the reader | 与阅片医生的消息
messages_none | Nothing has been written yet. | 尚无消息。
messages_urgent | The reader writes | 阅片医生来信
messages_of | Messages about this study | 关于此检查的消息
read_and_answer | Read and answer | 查看并回复
write | Write | 写消息
unread | {count} unread | {count} 条未读
asks | needs an answer | 需要回复
newest | Newest | 最新
who_reader | Reader {name} | 阅片医生 {name}
who_site | This hospital | 本院
need_images | More images are needed | 需要补充影像
need_quality | Better quality is needed | 需要更好的图像质量
need_question | A clinical question | 临床问题
need_other | The reader needs something | 阅片医生需要补充
purpose_message | Message | 消息
purpose_answer | Answer | 回复
purpose_done | Done | 已完成
purpose_cannot | Cannot be done | 无法完成
reply | Your reply | 您的回复
reply_done | Done, images were sent again | 已完成，影像已重新发送
reply_answer | Answer in words | 文字回复
reply_cannot | Cannot be done; say why | 无法完成，请说明原因
reply_message | Only a message; the answer follows | 仅发消息，稍后回复
text | Text | 内容
text_hint | At most {limit} characters; “done” needs none. | 最多 {limit} 字。选择“已完成”可不填内容。
text_hint_message | At most {limit} characters. | 最多 {limit} 字。
send | Send to the reader | 发送给阅片医生
on_its_way | waits for the line | 等待线路发送
at_hub | at the hub | 已到中心
seen_by_reader | seen by the reader | 医生已读
answered | answered | 已回复
new | new | 新
look_again | Look for new messages | 查看新消息
known | Patient and order of | 患者与申请单取自
known_none | nobody yet: fill in below | 未选择：请在下方填写
known_orders | Orders of the worklist, and studies that came here. | 检查申请列表与本机已接收的检查。
orders | Orders | 检查申请
came_here | Studies that came here | 本机已接收的检查
known_hint | Studies that came here; no worklist is set up. | 本机已接收的检查（未设置检查申请列表）。
fill_in | Fill in | 填入
study | These files belong to | 这些文件归属
study_same | the study {name} | 检查 {name}
study_order | the order {name} | 申请 {name}
study_new | a new study of the patient below | 下方患者的新检查
add_files | Add pictures or PDF to this study | 为该检查添加图片或 PDF
taken | How it was taken | 采集参数
taken_nothing | Its images were not looked at yet: load this page again soon. | 图像尚未检查，请稍后刷新本页。
taken_silent | These images do not say how they were taken. | 图像未包含采集参数。
hints | {count} to note | {count} 条提示
hints_title | What was noticed | 提示
look_again_at | Look again: | 请复查：
note | Note: | 提示：
images | {count} image(s) | {count} 幅影像
back | Back to what waits | 返回待传状态
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
