"""make_texts.py - the short texts on which pre-tokenizers and vocabularies are compared, each there for one trap."""

TEXTS = [
    "", " ", "  ", "   a", "a   ", "\n", "\n\n \n", "\t\ta\tb", " \t \n a", "a \r\n\r\n  b", "\r\r\n\n",
    "Hello, world! Hello world", "The weir holds  back   the water.", "don't DON'T I'll we'Ve it's 'sup ''s x'mas o'clock",
    "they\u2019re '\u017fee KEY \u212aelvin 'LL", "a'b'c 'd'll're", "1 12 123 1234 12345 1,234,567.89", "x1y22z333 4th 0xdeadBEEF 1e-10",
    "\u00bd \u00b2\u00b3 \u2167\u2177 \u2460\u2461 \u0661\u0662\u0663\u0664 \u0967\u0968\u0969\u096a \uff11\uff12\uff13\uff14",
    "for (int i = 0; i < n; i++) {\n    a[i] += b[i] * 2.5f;  // sum\n}\n", "def f(x):\n\treturn x**2 if x else None\n\n\n",
    "\\w+ [^\\s]* $HOME `ls` <a href=\"x\">y</a> {{z}} ~/.rc @me #1 %d ^v | a&b", "!!! ??? ... --- === \u2026\u2014\u2013 \u00ab\u00bb \u201cq\u201d",
    "!\n\n!\r\n ?\n", "a!\nb ;\n\n c", " ,a ,,b .5 .a _x __init__ -1 (b) [c]a", "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u00df\u1e9e \u0130\u0131 \u01c5\u01c8",
    "cafe\u0301 n\u0303o A\u030a\u0301 \u0301x a\u0338= \u0915\u094d\u0937\u093f", "\u0301\u0302 \u0301", "\u03a9\u03bc\u03ad\u03b3\u03b1 \u03c0\u2248\u03c1 \u2126 \u1fbe",
    "\u0412\u043e\u0434\u0430 \u0442\u0435\u0447\u0451\u0442 \u0441\u043a\u0432\u043e\u0437\u044c 3 \u043f\u043b\u043e\u0442\u0438\u043d\u044b",
    "\u05de\u05d9\u05dd \u0645\u0627\u0621 \u0627\u0644\u0646\u0647\u0631 \u0662\u0660\u0662\u0666", "\u092a\u093e\u0928\u0940 \u0914\u0930 \u0928\u0926\u0940\u0964 \u0967\u0968",
    "\u0e19\u0e49\u0e33\u0e44\u0e2b\u0e25\u0e1c\u0e48\u0e32\u0e19", "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u6211\u67092\u4e2a\u82f9\u679c\u3002 \u4e2d abc\u4e2ddef",
    "\u6c34\u306f\u9ad8\u304d\u3088\u308a\u4f4e\u304d\u306b\u6d41\u308b\u3002\u30ab\u30bf\u30ab\u30ca\u30fc \uff76\uff80\uff76\uff85", "\ubb3c\uc740 \ud750\ub974\uace0 \u1100\u1161\u11a8 \uac01",
    "\u9fa5\u9fa6\u3400\u4e00\u3007 \u0800\u07ff", "\uff21\uff22\uff43 \uff01\uff1f \u3010x\u3011", "\U0001f600\U0001f44d\U0001f3fd ok \u2764\ufe0f\U0001f468\u200d\U0001f469\u200d\U0001f467 1\ufe0f\u20e3\U0001f1e9\U0001f1ea",
    "a\u00a0b\u2003c\u3000d\u2028e\u0085f", "\u00a0\u00a0x \u3000\u3000y\u2003\u2003", "a\u200bb\u200dc\ufeffd \u180e\u180ee", "a\x0bb\x0cc\x1cd\x1fe \x7f \x01\x02",
    "\U00010400\U00010428 \U0001d54f\U0001d7d9 \U00020000\U0002a6d6 \U00010330", "\u20ac5 $6 \u00a37 \u00a9\u00ae\u2122 \u2190\u2192 \u2211\u222b \u00b0C",
    "x" * 40 + " " * 17 + "9" * 11 + "\n" * 5 + "=" * 23, "<|endoftext|>a<|im_start|> <|im_end|>\n<|begin_of_text|> <|eot_id|>b", "<|im_start <|IM_END|> <<|im_end|>> |>",
    "WeirRunsHTTPSServer's camelCase XMLHttpRequest iPhone's OS/2 a/b//c\n// d\n/", "\u0416\u0438\u0437\u043d\u044c \u0421\u0428\u0410\u0438\u043c \u0395\u039b\u039b\u03ac\u03b4\u03b1 \u0130stanbul'DA \u01c5ep \u4f60\u597dAb\u304b\u306aCd\u30ab\u30ca\uac00Ef",
    "1234567 12,345 1234abc abc1234 1_000 \u0661\u0662\u0663\u0664\u0665 12\u00bd3456 1234\u0301 0.12345", "<sentinel:12> <sentinel:> IMGIMGABZ IMGIMGABCDEZ!\n",
    "one two  three four\nfive six. seven-eight 9 ten\u0301 eleven", "\u3105\u3106 \u3131\u3132 \u2014\u2026\uff1a \ufe30", "\u1798\u17b6\u1793\u1791\u17b9\u1780 \u0ea1\u0eb5\u0e99\u0ec9\u0eb3 \u101b\u1031\u101b\u103e\u102d\u101e\u100a\u103a",
    " " * 700 + "x", "a" + " " * 37 + "\n" + " " * 20 + "b",
]
