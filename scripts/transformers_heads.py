"""Small models of Transformers with a head, each with inputs: built from their configuration, without weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from round_trip import K
from torch import Tensor, nn

TEXT: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 20, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": 0,
    "num_labels": K,
}  # fmt: skip
VISION: dict[str, Any] = {
    "image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "num_labels": K,
}  # fmt: skip
DECODER: dict[str, Any] = {**TEXT, "num_key_value_heads": 2, "pad_token_id": 0}
STAGES: dict[str, Any] = {"num_labels": K, "hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8}

# class of the model, class of its configuration, arguments of that
HEADS: list[tuple[str, str, dict[str, Any]]] = [
    ("BertForSequenceClassification", "BertConfig", TEXT),
    ("BertForTokenClassification", "BertConfig", TEXT),
    ("BertForMaskedLM", "BertConfig", {**TEXT, "vocab_size": K, "tie_word_embeddings": False}),
    ("RobertaForSequenceClassification", "RobertaConfig", TEXT),
    ("ElectraForSequenceClassification", "ElectraConfig", {**TEXT, "embedding_size": 16}),
    ("DebertaV2ForSequenceClassification", "DebertaV2Config", TEXT),
    (
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        {"vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "num_labels": K},
    ),
    ("AlbertForSequenceClassification", "AlbertConfig", {**TEXT, "embedding_size": 16}),
    (
        "BartForSequenceClassification",
        "BartConfig",
        {
            "vocab_size": 50,
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "num_labels": K,
            "max_position_embeddings": 20,
            "pad_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    ("GPT2ForSequenceClassification", "GPT2Config", {**TEXT, "n_embd": 16, "n_layer": 2, "n_head": 2}),
    ("LlamaForSequenceClassification", "LlamaConfig", DECODER),
    ("LlamaForCausalLM", "LlamaConfig", {**DECODER, "vocab_size": K}),
    ("Qwen2ForTokenClassification", "Qwen2Config", DECODER),
    ("GPT2LMHeadModel", "GPT2Config", {**TEXT, "vocab_size": K, "n_embd": 16, "n_layer": 2, "n_head": 2}),
    ("ViTForImageClassification", "ViTConfig", VISION),
    ("DeiTForImageClassification", "DeiTConfig", VISION),
    ("DeiTForImageClassificationWithTeacher", "DeiTConfig", VISION),
    ("BeitForImageClassification", "BeitConfig", VISION),
    ("Dinov2ForImageClassification", "Dinov2Config", VISION),
    (
        "SwinForImageClassification",
        "SwinConfig",
        {
            "image_size": 32,
            "patch_size": 4,
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 2,
            "num_labels": K,
        },
    ),
    ("ConvNextForImageClassification", "ConvNextConfig", {**STAGES, "num_stages": 2}),
    ("ResNetForImageClassification", "ResNetConfig", STAGES),
    ("RegNetForImageClassification", "RegNetConfig", {**STAGES, "groups_width": 8}),
    ("MobileNetV2ForImageClassification", "MobileNetV2Config", {"num_labels": K, "depth_multiplier": 0.35}),
    ("LevitForImageClassification", "LevitConfig", {"image_size": 128, "num_labels": K}),
    (
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        {
            "num_labels": K,
            "hidden_sizes": [8, 8, 16, 16],
            "depths": [1, 1, 1, 1],
            "decoder_hidden_size": 16,
            "num_attention_heads": [1, 1, 2, 2],
        },
    ),
]
_WORDS = ("bert", "electra", "bart", "gpt2", "llama", "qwen2")


def build_and_inputs(
    model: str, config: str, arguments: dict[str, Any]
) -> tuple[Callable[[], nn.Module], dict[str, Tensor]]:
    """A function that builds the model, and a batch of two for it."""
    import transformers

    def build() -> nn.Module:
        kind = getattr(transformers, model)
        made: nn.Module = kind(getattr(transformers, config)(**arguments))
        return made

    if any(word in model.lower() for word in _WORDS):
        tokens = torch.arange(3, 9).repeat(2, 1) % K
        tokens[:, -1] = 2  # Bart's end of the text
        return build, {"input_ids": tokens}
    side = arguments.get("image_size", 32)
    return build, {"pixel_values": torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))}
