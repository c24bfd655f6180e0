" Syntax highlighting for Refrain's description language (.rfn) in Vim and Neovim.
"
" Copy it to ~/.vim/syntax/refrain.vim (Neovim: ~/.config/nvim/syntax/refrain.vim), and add to the
" configuration:  autocmd BufRead,BufNewFile *.rfn setfiletype refrain

if exists('b:current_syntax')
  finish
endif

" Names may end in primes and tildes, and in an index of time: h' h~ h_{t-1}
syntax match refrainName /\<[A-Za-z_][A-Za-z0-9_]*['~]*\(_t\>\|_\?{t[ 0-9−-]*}\)\?/
syntax match refrainNumber /\<\d\+\(\.\d\+\)\?\([eE][-+]\?\d\+\)\?\>/
syntax match refrainOperator /[-+*\/^=<>@·⊙]/

" Functions before words, so that `max(` is one and `max` alone none.
syntax match refrainFunction /\<\(sigmoid\|tanh\|relu\|exp\|log\|sqrt\|abs\|sign\|erf\|sin\|cos\|floor\|ceil\|round\|softplus\|softsign\|gelu\|selu\|silu\|leaky_relu\|elu\|hard_sigmoid\|max\|min\|sum\|mean\|softmax\|log_softmax\|argmax\|clip\|where\|last\|first\|reverse\|outer\|transpose\|reshape\|attention\|one_hot\|embedding\|linear\|layer_norm\|conv1d\|max_pool1d\|sequence\|indices\|pad\|mod\|real\|avg_pool1d\)\ze(/
syntax match refrainFunction /σ\ze(/
syntax match refrainMachine /\<\(stack\|bidirectional\|lstm\|gru\|rnn\|rnn_relu\|greedy\|sample\|beam\)\>/
syntax match refrainStatement /^\s*\zs\(model\|weights\|const\|input\|param\|cell\|output\)\>\ze\s\+\S/
syntax match refrainLabel /^\s\+\zs[RO]\ze:/
syntax match refrainClause /\<\(scan\|decode\|over\|reverse\|from\|given\|lengths\|with\|weights\|start\|until\|length\)\>\ze\s/
syntax match refrainType /\<\(f32\|f64\|i32\|i64\|bool\)\>\ze\[/
syntax keyword refrainConstant true false time
syntax region refrainString start=/"/ end=/"/ oneline
syntax match refrainComment /#.*$/

highlight default link refrainNumber Number
highlight default link refrainOperator Operator
highlight default link refrainFunction Function
highlight default link refrainMachine Special
highlight default link refrainStatement Statement
highlight default link refrainClause Keyword
highlight default link refrainLabel Label
highlight default link refrainType Type
highlight default link refrainConstant Constant
highlight default link refrainString String
highlight default link refrainComment Comment

let b:current_syntax = 'refrain'
