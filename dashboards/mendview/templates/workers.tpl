% if workers:
<div class="scroll tall" tabindex="0" role="region" aria-label="Workers"><table><caption>{{words.plural(len(workers), "worker")}}, those alive first</caption>
<thead><tr><th class="left">worker</th><th class="left">host</th><th class="left">device</th><th class="left">state</th><th>last heartbeat</th><th>trials</th><th>per hour</th><th>lease</th><th>expires in</th><th>best score</th></tr></thead><tbody>
% tones = {"alive": "good", "silent": "fair", "lost": "bad"}
% for worker in workers:
<tr><td class="left">{{worker.ordinal}}</td><td class="left">{{worker.host}}</td><td class="left">{{worker.device}}</td>
<td class="left"><span class="pill {{tones.get(worker.state, "calm")}}">{{worker.state}}</span></td>
<td>{{words.span(worker.seen_s) + " ago" if worker.seen_s >= 1 else "now"}}</td><td>{{words.count(worker.done)}}</td><td>{{words.count(worker.hourly)}}</td>
<td>{{words.span(worker.lease_s)}}</td><td>{{"overdue" if worker.left_s is not None and worker.left_s < 0 else words.span(worker.left_s)}}</td><td>{{words.score(worker.best)}}</td></tr>
% end
</tbody></table></div>
% else:
<p class="note">No worker has joined.</p>
% end
