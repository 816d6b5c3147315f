<details class="words" id="words"><summary>Words on these pages</summary><dl>
<dt>score</dt><dd>how near a network's outputs are to the dense one's before any fine-tuning: minus their divergence, in nats. 0 is the dense network itself; higher is better. Where a search was told to, minus the loss against the labels.</dd>
<dt>coupling group</dt><dd>channels of several layers that can only be removed together, named by the first of these layers</dd>
<dt>floor</dt><dd>the narrowest structure, from which mending starts</dd>
<dt>restored</dt><dd>channels that a trial gives back, above the floor</dd>
<dt>pre-pruned, uniform</dt><dd>the controls: cut to the same budget by a rule, and every coupling group alike</dd>
<dt>mended</dt><dd>what the search found; its weights are refined, then fine-tuned as those of the controls are</dd>
<dt>stopped early</dt><dd>scored on some of the images only, since it was worse than the best beyond doubt</dd>
<dt>set aside</dt><dd>a candidate that failed three times and is not tried again</dd>
</dl></details>
