"""The fused loops: each says faster what a file above defines, whose name its own file bears where there is one."""
