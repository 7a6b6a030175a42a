"""The regulation as pure code: one module per article, no I/O, no clock, nothing imported but ``dockd.nouns``."""
