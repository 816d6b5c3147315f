<details class="words" id="words"><summary>Words on these pages</summary><dl>
<dt>score</dt><dd>how close a network's outputs are to those of the dense network before fine-tuning: minus their divergence, in nats. 0 is the dense network itself; higher is better. A search can use minus the loss against the labels instead.</dd>
<dt>coupling group</dt><dd>channels of several layers that can only be removed together, named by the first of these layers</dd>
<dt>floor</dt><dd>the narrow structure from which mending starts</dd>
<dt>restored</dt><dd>channels that a trial adds to the floor</dd>
<dt>pre-pruned, uniform, random</dt><dd>the controls with the same budget: cut by a pre-pruning rule, cut alike in every coupling group, and drawn at random</dd>
<dt>mended</dt><dd>the network that the search found; it is refined and fine-tuned like the controls</dd>
<dt>stopped early</dt><dd>scored on a part of the images, since it was significantly worse than the best candidate</dd>
<dt>set aside</dt><dd>a candidate that failed three times and is not tried again</dd>
<dt>device worker</dt><dd>a process on the target device that measures networks for a latency budget; it runs no trials</dd>
</dl></details>
