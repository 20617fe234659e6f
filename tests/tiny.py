"""The model of the tests that run whole experiments: big enough to learn, small enough to train in seconds."""

TINY = """\
models:
  tiny:
    init:
      config:
        model_type: xlm-roberta
        hidden_size: 32
        num_hidden_layers: 2
        num_attention_heads: 2
        intermediate_size: 64
        max_position_embeddings: 130
      tokenizer:
        vocab_size: 500
"""
"""The part of an experiment that declares it; `pretrain:`, indented by four, may follow."""
