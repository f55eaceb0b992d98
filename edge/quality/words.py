"""The sentences of every kind of warning, for the technologist: English and Chinese. Pure.

The portal has its own for the reader (``hub/portal/web/src/i18n``); a test holds that both know every kind.
"""

from __future__ import annotations

from edge.quality.warning import QualityWarning

WORDS: dict[str, tuple[str, str]] = {
    "patient-mismatch": (
        "Images of {patients} different patient IDs are in this study",
        "该检查内含有 {patients} 个不同患者编号的图像",
    ),
    "patient-name-differs": (
        "The patient's name is written in {values} ways in this study",
        "该检查内患者姓名有 {values} 种写法",
    ),
    "patient-birth-differs": (
        "The birth date differs between images of this study",
        "该检查内各图像的出生日期不一致",
    ),
    "patient-sex-differs": ("The sex differs between images of this study", "该检查内各图像的性别不一致"),
    "slices-missing": (
        "{missing} slice(s) seem to be missing (usual step {step} mm)",
        "疑似缺少 {missing} 层（常规层间距 {step} 毫米）",
    ),
    "spacing-uneven": (
        "Slices lie unevenly at {places} place(s): {worst} mm instead of {step} mm",
        "{places} 处层间距不均匀：{worst} 毫米，常规为 {step} 毫米",
    ),
    "numbers-missing": (
        "{missing} image number(s) are missing: {numbers}",
        "缺少 {missing} 个图像编号：{numbers}",
    ),
    "too-few": (
        "Only {images} images; {part} usually has at least {fewest}",
        "仅有 {images} 幅图像；{part} 通常至少 {fewest} 幅",
    ),
    "views-unequal": (
        "The two breasts have unequal views: {left} left, {right} right",
        "双侧乳腺投照数不等：左 {left}，右 {right}",
    ),
    "blank": ("{images} of {of} images are blank", "{of} 幅图像中有 {images} 幅为空白"),
    "clipped": (
        "{images} of {of} images are saturated (up to {share} of the image)",
        "{of} 幅图像中有 {images} 幅像素饱和（最多占图像 {share}）",
    ),
    "laterality-absent": (
        "Left or right is not stated for {part} ({images} images)",
        "{part} 未注明左右（{images} 幅图像）",
    ),
    "laterality-invalid": ("“{value}” is no side: L, R, B or U", "“{value}”不是有效的侧别（L、R、B、U）"),
    "laterality-contradicts": (
        "The side is {value}, but the description says {words}",
        "侧别为 {value}，而描述写的是 {words}",
    ),
    "orientation-absent": (
        "{images} of {of} slices do not say how they lie",
        "{of} 层中有 {images} 层缺少方位信息",
    ),
    "orientation-invalid": (
        "{images} of {of} slices have an impossible orientation",
        "{of} 层中有 {images} 层方位信息无效",
    ),
    "pixel-spacing-absent": (
        "Nothing can be measured on {images} of {of} images: pixel spacing is absent",
        "{of} 幅图像中有 {images} 幅无像素间距，无法测量",
    ),
    "pixel-spacing-invalid": (
        "The pixel spacing of {images} of {of} images makes no sense",
        "{of} 幅图像中有 {images} 幅像素间距无效",
    ),
    "exposure-high": ("Exposed too much: deviation index {index}", "曝光过度：偏差指数 {index}"),
    "exposure-low": ("Exposed too little: deviation index {index}", "曝光不足：偏差指数 {index}"),
    "kvp-unusual": (
        "{kvp} kVp is unusual (usual: {low} to {high})",
        "{kvp} kVp 不常见（常规 {low} 至 {high}）",
    ),
    "dose-high": (
        "CTDIvol {dose} mGy is above the reference of {level} mGy",
        "CTDIvol {dose} mGy 高于参考水平 {level} mGy",
    ),
    "burned-in": ("The image says that text is drawn into its pixels", "图像声明像素内含有文字"),
    "burned-in-seen": (
        "Text seems to be drawn into a corner of {images} of {of} images",
        "{of} 幅图像中有 {images} 幅角落疑似含有文字",
    ),
    "burned-in-likely": (
        "Images of this kind ({modality}) often have text drawn into them",
        "此类图像（{modality}）常含有叠加文字",
    ),
}

TAKEN: dict[str, tuple[str, str]] = {
    "ProtocolName": ("Protocol", "扫描方案"),
    "KVP": ("kVp", "管电压 kVp"),
    "XRayTubeCurrent": ("Tube current (mA)", "管电流 (mA)"),
    "ExposureTime": ("Exposure time (ms)", "曝光时间 (ms)"),
    "Exposure": ("Exposure (mAs)", "曝光量 (mAs)"),
    "CTDIvol": ("CTDIvol (mGy)", "CTDIvol (mGy)"),
    "EntranceDoseInmGy": ("Entrance dose (mGy)", "入射剂量 (mGy)"),
    "OrganDose": ("Organ dose (dGy)", "器官剂量 (dGy)"),
    "ImageAndFluoroscopyAreaDoseProduct": ("Dose area product (dGy·cm²)", "剂量面积乘积 (dGy·cm²)"),
    "ExposureIndex": ("Exposure index", "曝光指数"),
    "TargetExposureIndex": ("Target exposure index", "目标曝光指数"),
    "DeviationIndex": ("Deviation index", "偏差指数"),
    "ConvolutionKernel": ("Kernel", "重建卷积核"),
    "SliceThickness": ("Slice thickness (mm)", "层厚 (mm)"),
    "SpacingBetweenSlices": ("Slice spacing (mm)", "层间距 (mm)"),
    "MagneticFieldStrength": ("Field (T)", "场强 (T)"),
    "ScanningSequence": ("Sequence type", "序列类型"),
    "SequenceName": ("Sequence", "序列名称"),
    "RepetitionTime": ("TR (ms)", "TR (ms)"),
    "EchoTime": ("TE (ms)", "TE (ms)"),
    "InversionTime": ("TI (ms)", "TI (ms)"),
    "FlipAngle": ("Flip angle (°)", "翻转角 (°)"),
    "EchoTrainLength": ("Echo train", "回波链长度"),
    "DiffusionBValue": ("b value", "b 值"),
}
"""What each parameter of `glimpse.ACQUISITION` is called."""


def sentence(warning: QualityWarning, language: str = "en") -> str:
    """A warning in words.

    Args:
        warning: what was noticed.
        language: ``zh`` for Chinese; anything else is English.
    """
    english, chinese = WORDS[warning.kind]
    return (chinese if language.startswith("zh") else english).format(**warning.parameters)


def sentences(warning: QualityWarning) -> dict[str, str]:
    """A warning in every language of the page."""
    return {language: sentence(warning, language) for language in ("en", "zh")}
