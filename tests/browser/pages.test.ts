/** The pages in a real browser that reaches nothing but the server. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningProcess } from '@waybill/kit/run.ts';
import { mirror, startGateway, stopAll, temporaryFolder } from '../support/entrance.ts';

const executablePath = '/usr/bin/chromium';
const installed = existsSync(executablePath);
/** With this set the browser must be there: a skipped test would hide that it is missing. */
const required = process.env['WAYBILL_INSTALL'] === '1';
const pictures = process.env['WAYBILL_PICTURES'];

describe.skipIf(!installed && !required)('without any network', () => {
  let server: RunningProcess;
  let browser: Browser;

  beforeAll(async () => {
    server = await startGateway({}, [mirror({ name: 'orders', path: '/api/v1/orders' })]);
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    await stopAll();
  });

  /** Opens a page; `faults` collects what the browser complains of and what it asks of others. */
  async function open(path: string) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const faults: string[] = [];
    await context.route('**/*', async (route) => {
      const address = route.request().url();
      if (address.startsWith(server.url) || /^(data|blob):/.test(address)) return route.continue();
      faults.push(`asks ${address}`);
      return route.abort();
    });
    await context.addInitScript(`addEventListener('securitypolicyviolation', (event) =>
      console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))`);
    const page = await context.newPage();
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) faults.push(message.text());
    });
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(server.url + path);
    return { page, faults };
  }

  async function picture(page: Page, name: string): Promise<void> {
    const folder = pictures ?? temporaryFolder();
    mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }

  test('the start page shows a first order and leads to the others', async () => {
    const { page, faults } = await open('/');
    expect(await page.title()).toBe('Waybill');
    expect(await page.locator('pre').textContent()).toContain('/api/v1/orders');
    const links = await page
      .locator('nav a')
      .evaluateAll((all) => all.map((link) => link.getAttribute('href')));
    expect(links).toEqual(['/docs', '/redoc', '/openapi.json', '/health', '/metrics']);
    const corner = await page.evaluate(
      "getComputedStyle(document.querySelector('pre')).borderRadius",
    );
    expect(corner, 'the style is applied').not.toBe('0px');
    await picture(page, 'start');
    await page.setViewportSize({ width: 390, height: 800 });
    const overflow = await page.evaluate('document.documentElement.scrollWidth');
    expect(overflow).toBeLessThanOrEqual(390);
    await picture(page, 'start-narrow');
    expect(faults).toEqual([]);
  });

  test('Swagger UI lists the operations and calls one', async () => {
    const { page, faults } = await open('/docs');
    await page.locator('.opblock-summary-path', { hasText: '/api/v1/orders' }).first().waitFor();
    await picture(page, 'docs');
    await page.locator('#operations-orders-getOrders .opblock-summary-control').click();
    await page.locator('#operations-orders-getOrders .try-out__btn').click();
    await page.locator('#operations-orders-getOrders .execute').click();
    const answer = page.locator('#operations-orders-getOrders .live-responses-table');
    await answer.locator('text=demo-admin').first().waitFor();
    await picture(page, 'docs-called');
    expect(faults).toEqual([]);
  });

  test('ReDoc shows the operations', async () => {
    const { page, faults } = await open('/redoc');
    await page.getByText('/api/v1/orders').first().waitFor();
    await page.getByText('Waybill').first().waitFor();
    await picture(page, 'redoc');
    await page.getByText('Search', { exact: false }).first().click();
    await page.keyboard.type('metrics');
    await page.getByText('Metrics for Prometheus').first().waitFor();
    await picture(page, 'redoc-search');
    await page.keyboard.press('Escape');
    await page.getByText('orders', { exact: true }).first().click();
    // Its reports of use leave after five seconds.
    await page.waitForTimeout(6500);
    expect(faults).toEqual([]);
  });
});
