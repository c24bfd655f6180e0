
Boutput_1JP╛?э▄Т╬°║├╬╖oN╪cj=Sрж>sт╚╫&x#©{Фa╬LN∙>▀кQ>k▌Q╬"4?╦V√╫pЖ■╫m>ьAC?э⌠┐╬$x╬T²=