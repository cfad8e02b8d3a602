"""Charts (SVG) and self-contained HTML reports of plain data: the same marks on screen and on paper."""
