<div class="scroll tall" tabindex="0" role="region" aria-label="Device workers"><table><caption>Measurements: {{devices.counts(found)}}</caption>
<thead><tr><th class="left">device</th><th class="left">runtime</th><th>threads</th><th class="left">serves</th><th class="left">state</th><th>last heartbeat</th><th class="left">is at</th><th>done</th></tr></thead><tbody>
% tones = {"alive": "good", "silent": "fair", "lost": "bad"}
% for worker in found.workers:
% setting = worker.setting
<tr><td class="left">{{setting.device if setting else devices.called(worker)}}</td><td class="left">{{setting.runtime if setting else "–"}}</td><td>{{setting.threads if setting else "–"}}</td><td class="left">{{worker.name}}</td>
<td class="left"><span class="pill {{tones.get(worker.state, "calm")}}">{{worker.state}}</span></td>
<td>{{devices.heard(worker)}}</td><td class="left">{{devices.at(worker) or "–"}}</td><td>{{words.count(worker.done)}}</td></tr>
% end
</tbody></table></div>
