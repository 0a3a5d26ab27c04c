"""Small models of each architecture: random weights, real tokenizers, real image processors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
    ChineseCLIPConfig,
    ChineseCLIPImageProcessorPil,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTokenizer,
    GemmaTokenizer,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    MobileNetV2ImageProcessorPil,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    XLMRobertaTokenizer,
)

from mm_milvus.encoders.trained.dual import Projection, ProjectionShape, save_dual
from mm_milvus.encoders.trained.pair import separate_pair

CORPUS = [
    "a photo of a red dress",
    "blue jeans and white sneakers, size 42",
    "an evening gown with long sleeves",
    "红色的连衣裙 和 白色运动鞋",
    "красное платье и джинсы",
]
WIDTH = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
TOWER = WIDTH | {"num_attention_heads": 4}
VISION = TOWER | {"image_size": 32, "patch_size": 8}

Build = Callable[[Path], None]


def save(folder: Path, model: PreTrainedModel, tokenizer: object, processor: object) -> None:
    # The initial weights are so small that the vectors of all texts are alike: spread them.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    model.save_pretrained(folder)
    for part in (tokenizer, processor):
        if part is not None:
            part.save_pretrained(folder)


def clip_tokenizer() -> CLIPTokenizer:
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        end_of_word_suffix="</w>",
        initial_alphabet=alphabet,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        show_progress=False,
    )
    trained.train_from_iterator(CORPUS, trainer)
    vocab = trained.get_vocab(with_added_tokens=True)
    for letter in alphabet:
        vocab.setdefault(letter + "</w>", len(vocab))
    merges = [tuple(pair) for pair in _model_json(trained)["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=20)


def _model_json(tokenizer: Tokenizer) -> dict[str, object]:
    return json.loads(tokenizer.to_str())["model"]


def build_clip(folder: Path) -> None:
    tokenizer = clip_tokenizer()
    text = TOWER | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    save(folder, CLIPModel(config), tokenizer, processor)


def unigram_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def build_siglip(folder: Path) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=unigram_tokenizer(),
        pad_token="</s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=16,
        model_input_names=["input_ids"],
    )
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 16}
    config = SiglipConfig(text_config=text, vision_config=VISION)
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    save(folder, SiglipModel(config), tokenizer, processor)


def build_siglip2(folder: Path) -> None:
    trained = Tokenizer(models.BPE(byte_fallback=True))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
        + [f"<0x{byte:02X}>" for byte in range(256)],
        show_progress=False,
    )
    trained.train_from_iterator(CORPUS, trainer)
    merges = [tuple(pair) for pair in _model_json(trained)["merges"]]
    tokenizer = GemmaTokenizer(
        vocab=trained.get_vocab(), merges=merges, model_input_names=["input_ids"]
    )
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 16}
    vision = VISION | {"num_hidden_layers": 1}
    config = SiglipConfig(text_config=text, vision_config=vision)
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32}, resample=2)
    save(folder, SiglipModel(config), tokenizer, processor)


def build_chinese_clip(folder: Path) -> None:
    tokenizer = letters_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 52}
    config = ChineseCLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    processor = ChineseCLIPImageProcessorPil(size={"shortest_edge": 36}, crop_size=32)
    save(folder, ChineseCLIPModel(config), tokenizer, processor)


def build_altclip(folder: Path) -> None:
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = sorted({letter for line in CORPUS for letter in line if letter != " "})
    pieces += [(letter, -3.0) for letter in ["▁", *letters]]
    tokenizer = XLMRobertaTokenizer(vocab=pieces, model_max_length=512)
    text = TOWER | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 34,
        "project_dim": 40,
        "type_vocab_size": 1,
    }
    config = AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    save(folder, AltCLIPModel(config), tokenizer, processor)


def letters_tokenizer() -> BertTokenizer:
    letters = sorted({letter for line in CORPUS for letter in line if letter != " "})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    words += [f"##{letter}" for letter in letters]
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    tokenizer.model_max_length = 512
    return tokenizer


def build_sentence(folder: Path) -> None:
    tokenizer = letters_tokenizer()
    config = BertConfig(**TOWER, vocab_size=len(tokenizer), max_position_embeddings=48)
    save(folder, BertModel(config, add_pooling_layer=False), tokenizer, None)


def build_cross_encoder(folder: Path) -> None:
    tokenizer = letters_tokenizer()
    config = BertConfig(
        **TOWER, vocab_size=len(tokenizer), max_position_embeddings=48, num_labels=1
    )
    save(folder, BertForSequenceClassification(config), tokenizer, None)


def build_blip(folder: Path) -> None:
    tokenizer = letters_tokenizer()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    text = TOWER | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 48,
        "encoder_hidden_size": 32,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    config = BlipConfig(text_config=text, vision_config=VISION, image_text_hidden_size=16)
    processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    save(folder, BlipForImageTextRetrieval(config), tokenizer, processor)


def build_mobilenet(folder: Path) -> None:
    config = MobileNetV2Config(depth_multiplier=0.25, image_size=32, num_labels=11)
    processor = MobileNetV2ImageProcessorPil(size={"shortest_edge": 40}, crop_size=32)
    save(folder, MobileNetV2ForImageClassification(config), None, processor)


def build_vit(folder: Path) -> None:
    config = ViTConfig(**VISION, num_labels=7)
    processor = ViTImageProcessorPil(size={"height": 32, "width": 32})
    save(folder, ViTForImageClassification(config), None, processor)


def build_dual(folder: Path) -> None:
    parts = folder.with_name("dual-text"), folder.with_name("dual-image")
    build_sentence(parts[0])
    build_mobilenet(parts[1])
    pair = separate_pair(str(parts[0]), str(parts[1]), torch.device("cpu"))
    folder.mkdir()
    save_dual(folder, pair, Projection(ProjectionShape(1280, 32, 24, hidden=40)), 0.05)


BUILDERS: dict[str, Build] = {
    "clip": build_clip,
    "siglip": build_siglip,
    "siglip2": build_siglip2,
    "chinese_clip": build_chinese_clip,
    "altclip": build_altclip,
    "dual": build_dual,
    "sentence": build_sentence,
    "cross_encoder": build_cross_encoder,
    "blip": build_blip,
    "mobilenet": build_mobilenet,
    "vit": build_vit,
}
