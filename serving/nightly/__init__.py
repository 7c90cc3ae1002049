"""The nightly run: from new orders to new scores without anybody awake, and word of how it went."""
